"""Requests, certificates and revocation lists. OpenSSL knows the public key only, and refuses a changed byte."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from core.tests.integrations.certificates import HASHES, NOW, certificate, name, pss
from core.tests.integrations.conftest import PrivateKeys
from core.tests.integrations.programs import openssl

KNOWN = [algorithm for algorithm in HASHES if algorithm != "ML_DSA_65"]
"""OpenSSL knows ML-DSA from version 3.5 on; those certificates are checked by `cryptography` alone."""
RSA_WAYS = [(h, p) for h in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()) for p in (None, pss(h))]


def write(path: Path, made: Any) -> Path:
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def damaged(path: Path, made: Any) -> Path:
    """The same with the last bit of its signature changed."""
    der = bytearray(made.public_bytes(Encoding.DER))
    der[-1] ^= 1
    path.write_bytes(bytes(der))
    return path


def request(private_key: PrivateKeys, algorithm: str, rsa_padding: Any = None, hash_algorithm: Any = None) -> Any:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name("www.example.com"))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("www.example.com")]), critical=False)
        .sign(private_key(algorithm), hash_algorithm or HASHES[algorithm], rsa_padding=rsa_padding)
    )


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_request_proves_possession(private_key: PrivateKeys, algorithm: str, tmp_path: Path) -> None:
    made = request(private_key, algorithm)
    assert made.is_signature_valid
    assert made.public_key() == private_key(algorithm).public_key()
    verify = ("req", "-verify", "-noout", "-subject", "-nameopt", "RFC2253", "-in")
    _, said = openssl(*verify, write(tmp_path / "csr", made))
    assert "verify OK" in said
    assert "CN=www.example.com" in said
    _, said = openssl(*verify, damaged(tmp_path / "bad", made), "-inform", "DER")
    assert "verify failure" in said


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(("hash_algorithm", "rsa_padding"), RSA_WAYS)
def test_rsa_requests_take_every_hash_and_padding(
    private_key: PrivateKeys, hash_algorithm: Any, rsa_padding: Any, tmp_path: Path
) -> None:
    made = request(private_key, "RSA_2048", rsa_padding, hash_algorithm)
    _, said = openssl("req", "-verify", "-noout", "-text", "-in", write(tmp_path / "csr", made))
    assert "verify OK" in said
    if rsa_padding is None:
        assert f"Signature Algorithm: {hash_algorithm.name}WithRSAEncryption" in said
    else:
        assert "Signature Algorithm: rsassaPss" in said
        assert f"Salt Length: 0x{hash_algorithm.digest_size:02X}" in said


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_certificate_of_its_own(private_key: PrivateKeys, algorithm: str, tmp_path: Path) -> None:
    key = private_key(algorithm)
    made = certificate("self", key.public_key(), "self", key, HASHES[algorithm], authority=True)
    made.verify_directly_issued_by(made)
    path = write(tmp_path / "self", made)
    good, said = openssl("verify", "-check_ss_sig", "-CAfile", path, path)
    assert good, said
    wrong = write(tmp_path / "wrong", x509.load_der_x509_certificate(damaged(tmp_path / "der", made).read_bytes()))
    good, said = openssl("verify", "-check_ss_sig", "-CAfile", wrong, wrong)
    assert "signature failure" in said
    assert not good


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("algorithm", "rsa_padding"), [*((algorithm, None) for algorithm in KNOWN), ("RSA_2048", pss(hashes.SHA256()))]
)
def test_an_authority_issues_for_keys_outside(
    private_key: PrivateKeys, algorithm: str, rsa_padding: Any, tmp_path: Path
) -> None:
    key = private_key(algorithm)
    outside = ec.generate_private_key(ec.SECP256R1()).public_key()
    issue = {"hash_algorithm": HASHES[algorithm], "rsa_padding": rsa_padding}
    root = certificate("root", key.public_key(), "root", key, authority=True, **issue)
    leaf = certificate("leaf", outside, "root", key, **issue)
    leaf.verify_directly_issued_by(root)
    trusted, path = write(tmp_path / "root", root), write(tmp_path / "leaf", leaf)
    good, said = openssl("verify", "-x509_strict", "-CAfile", trusted, path)
    assert good, said
    stranger = ec.generate_private_key(ec.SECP384R1())
    foreign = certificate("root", stranger.public_key(), "root", stranger, hashes.SHA384(), authority=True)
    good, _ = openssl("verify", "-CAfile", write(tmp_path / "foreign", foreign), path)
    assert not good


def test_post_quantum_certificates(private_key: PrivateKeys) -> None:
    """Verified by the library from the public key alone."""
    key = private_key("ML_DSA_65")
    made = certificate("pq", key.public_key(), "pq", key, None, authority=True)
    assert made.signature_algorithm_oid.dotted_string == "2.16.840.1.101.3.4.3.18"
    public_key: Any = x509.load_pem_x509_certificate(made.public_bytes(Encoding.PEM)).public_key()
    public_key.verify(made.signature, made.tbs_certificate_bytes)
    with pytest.raises(InvalidSignature):
        public_key.verify(made.signature, made.tbs_certificate_bytes + b".")
    assert request(private_key, "ML_DSA_65").is_signature_valid


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_revocation_list_revokes(private_key: PrivateKeys, algorithm: str, tmp_path: Path) -> None:
    key, algorithm_hash = private_key(algorithm), HASHES[algorithm]
    root = certificate("root", key.public_key(), "root", key, algorithm_hash, authority=True)
    bad, good = (
        certificate(leaf, ec.generate_private_key(ec.SECP256R1()).public_key(), "root", key, algorithm_hash)
        for leaf in ("bad", "good")
    )
    revoked = x509.RevokedCertificateBuilder().serial_number(bad.serial_number).revocation_date(NOW).build()
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name("root"))
        .last_update(NOW - timedelta(minutes=5))
        .next_update(NOW + timedelta(days=1))
        .add_revoked_certificate(revoked)
        .sign(key, algorithm_hash)
    )
    assert made.is_signature_valid(key.public_key())
    trusted, path = write(tmp_path / "root", root), write(tmp_path / "crl", made)
    _, said = openssl("crl", "-noout", "-CAfile", trusted, "-in", path)
    assert "verify OK" in said
    _, said = openssl("crl", "-noout", "-inform", "DER", "-CAfile", trusted, "-in", damaged(tmp_path / "der", made))
    assert "verify failure" in said
    check = ("verify", "-crl_check", "-CAfile", trusted, "-CRLfile", path)
    assert openssl(*check, write(tmp_path / "good", good))[0]
    fine, said = openssl(*check, write(tmp_path / "bad", bad))
    assert "certificate revoked" in said
    assert not fine
