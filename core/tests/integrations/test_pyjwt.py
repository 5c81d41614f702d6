"""Tokens of PyJWT, verified by PyJWT and by OpenSSL from the public key alone."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from keyclave.errors import CapabilityUnsupported

from core.tests.integrations.conftest import PrivateKeys
from core.tests.integrations.programs import openssl, public_pem

CLAIMS = {"sub": "alice", "aud": "payments"}
ALGORITHMS = {
    **{f"{kind}{bits}": "RSA_2048" for kind in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": "ECDSA_P256",
    "ES384": "ECDSA_P384",
    "EdDSA": "ED25519",
}
"""PyJWT's names, each with the algorithm of the key."""


def openssl_accepts(algorithm: str, directory: Path, public_key: Any, message: bytes, signature: bytes) -> bool:
    pem = public_pem(directory / "public", public_key)
    if algorithm.startswith("ES"):
        half = len(signature) // 2
        numbers = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        signature = encode_dss_signature(*numbers)
    (directory / "message").write_bytes(message)
    (directory / "signature").write_bytes(signature)
    if algorithm == "EdDSA":
        inputs = ("-in", directory / "message", "-sigfile", directory / "signature")
        return openssl("pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", *inputs)[0]
    pss = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
    options = pss if algorithm.startswith("PS") else ()
    files = ("-signature", directory / "signature", directory / "message")
    return openssl("dgst", f"-sha{algorithm[2:]}", "-verify", pem, *options, *files)[0]


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_is_signed(private_key: PrivateKeys, algorithm: str, tmp_path: Path) -> None:
    key = private_key(ALGORITHMS[algorithm])
    token = jwt.encode(CLAIMS, key, algorithm)
    pem = public_pem(tmp_path / "public", key.public_key()).read_bytes()
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert jwt.decode(token, pem, [algorithm], audience="payments") == CLAIMS
    head, payload, encoded = token.split(".")
    message, signature = f"{head}.{payload}".encode(), urlsafe_b64decode(encoded + "==")
    assert openssl_accepts(algorithm, tmp_path, key.public_key(), message, signature)
    assert not openssl_accepts(algorithm, tmp_path, key.public_key(), message + b"x", signature)
    other = jwt.encode({**CLAIMS, "sub": "mallory"}, key, algorithm).split(".")[1]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(f"{head}.{other}.{encoded}", pem, [algorithm], audience="payments")


@pytest.mark.parametrize(
    ("algorithm", "wrong"),
    [("ECDSA_P256", "ES384"), ("ECDSA_P256", "RS256"), ("ED25519", "ES256"), ("RSA_2048", "HS256")],
)
def test_an_algorithm_of_another_key_is_refused(private_key: PrivateKeys, algorithm: str, wrong: str) -> None:
    with pytest.raises((jwt.InvalidKeyError, TypeError)):
        jwt.encode(CLAIMS, private_key(algorithm), wrong)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_private_jwk_is_refused_and_a_public_one_is_made(private_key: PrivateKeys, algorithm: str) -> None:
    key = private_key(ALGORITHMS[algorithm])
    tools: Any = jwt.get_algorithm_by_name(algorithm)
    with pytest.raises(CapabilityUnsupported, match="does not leave its backend"):
        tools.to_jwk(key)
    public = tools.to_jwk(key.public_key(), as_dict=True)
    assert "d" not in public
    token = jwt.encode({"sub": "alice"}, key, algorithm)
    assert jwt.decode(token, jwt.PyJWK(public, algorithm), [algorithm]) == {"sub": "alice"}
    assert tools.from_jwk(public).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    ) == key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
