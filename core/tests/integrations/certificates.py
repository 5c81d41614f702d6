"""Certificates that tests sign with keys of a backend."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import NameOID

__all__ = ["HASHES", "NOW", "certificate", "name", "pss"]

NOW = datetime.now(UTC)
HASHES: dict[str, Any] = {
    "RSA_2048": hashes.SHA256(),
    "ECDSA_P256": hashes.SHA256(),
    "ECDSA_P384": hashes.SHA384(),
    "ED25519": None,
    "ML_DSA_65": None,
}
"""The algorithms, each with a hash that its keys sign certificates with."""


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def pss(hash_algorithm: Any, salt_length: Any = padding.PSS.DIGEST_LENGTH) -> padding.PSS:
    return padding.PSS(padding.MGF1(hash_algorithm), salt_length)


def certificate(
    subject: str,
    public_key: Any,
    issuer: str,
    issuer_key: Any,
    hash_algorithm: Any,
    *,
    authority: bool = False,
    rsa_padding: Any = None,
) -> x509.Certificate:
    usage = {
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "encipher_only": False,
        "decipher_only": False,
    }
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(minutes=5))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=authority, crl_sign=authority, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hash_algorithm, rsa_padding=rsa_padding)
    )
