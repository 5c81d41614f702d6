"""PKCS#7 signatures, which OpenSSL verifies with nothing but the certificate of the authority."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from core.tests.integrations.certificates import HASHES, certificate, pss
from core.tests.integrations.conftest import PrivateKeys
from core.tests.integrations.programs import openssl

MESSAGE = b"Pay Bob 100 euros.\r\n"
WAYS = [
    *(("RSA_2048", h, p) for h in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()) for p in (None, pss(h))),
    ("ECDSA_P256", hashes.SHA256(), None),
    ("ECDSA_P384", hashes.SHA384(), None),
]
"""Every way in which PKCS#7 of `cryptography` signs: RSA and EC keys only."""


@pytest.fixture(scope="module")
def authority() -> ec.EllipticCurvePrivateKey:
    """An authority outside Keyclave: what is on trial is the signature of the message."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("attributes", [True, False])
@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize(("algorithm", "hash_algorithm", "rsa_padding"), WAYS)
def test_a_message_is_signed(
    private_key: PrivateKeys,
    authority: Any,
    algorithm: str,
    hash_algorithm: Any,
    rsa_padding: Any,
    *,
    attached: bool,
    attributes: bool,
    tmp_path: Path,
) -> None:
    key = private_key(algorithm)
    root = certificate("root", authority.public_key(), "root", authority, hashes.SHA256(), authority=True)
    signer = certificate("signer", key.public_key(), "root", authority, hashes.SHA256())
    options = [pkcs7.PKCS7Options.Binary]
    options += [] if attached else [pkcs7.PKCS7Options.DetachedSignature]
    options += [] if attributes else [pkcs7.PKCS7Options.NoAttributes]
    builder = pkcs7.PKCS7SignatureBuilder().set_data(MESSAGE)
    signed = builder.add_signer(signer, key, hash_algorithm, rsa_padding=rsa_padding).sign(Encoding.DER, options)
    verify = verification(tmp_path, root, signed)
    content = ("-content", tmp_path / "message")
    (tmp_path / "message").write_bytes(MESSAGE)
    good, said = openssl(*verify, *(() if attached else content))
    assert good, said
    assert "Pay Bob 100 euros." in said
    forged = signed.replace(b"Bob", b"Eve")
    (tmp_path / "message").write_bytes(MESSAGE.replace(b"Bob", b"Eve"))
    good, said = openssl(*verification(tmp_path, root, forged), *(() if attached else content))
    assert not good, said


def verification(directory: Path, root: Any, signed: bytes) -> tuple[object, ...]:
    (directory / "root").write_bytes(root.public_bytes(Encoding.PEM))
    (directory / "signed").write_bytes(signed)
    trust = ("-CAfile", directory / "root", "-purpose", "any")
    return ("cms", "-verify", "-binary", "-inform", "DER", "-in", directory / "signed", *trust)


@pytest.mark.needs("openssl")
def test_a_mail_is_signed(private_key: PrivateKeys, tmp_path: Path) -> None:
    key = private_key("ECDSA_P256")
    own = certificate("me", key.public_key(), "me", key, HASHES["ECDSA_P256"], authority=True)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(MESSAGE).add_signer(own, key, hashes.SHA256())
    mail = builder.sign(Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature])
    (tmp_path / "own").write_bytes(own.public_bytes(Encoding.PEM))
    verify = ("smime", "-verify", "-CAfile", tmp_path / "own", "-purpose", "any")
    good, said = openssl(*verify, data=mail)
    assert good, said
    good, said = openssl(*verify, data=mail.replace(b"Bob", b"Eve"))
    assert not good, said
