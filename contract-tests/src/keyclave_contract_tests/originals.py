"""Keys of this process that checks import into a backend and that the oracle signs with, too: made once each."""

from __future__ import annotations

import secrets
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from keyclave.models import AlgorithmFamily, get_algorithm

__all__ = ["original", "pkcs8_of", "secret_of", "spki_of"]

_CURVES = {256: ec.SECP256R1(), 384: ec.SECP384R1()}


def original(algorithm: str, number: int = 0) -> Any:
    """Return a private key of an algorithm whose keys sign; other numbers are other keys."""
    return _private_key(algorithm, number)


def secret_of(algorithm: str, number: int = 0) -> bytes:
    """Return a key as it is imported: PKCS#8 (RFC 5958) of the original, or 32 bytes of AES."""
    if get_algorithm(algorithm).signs:
        return pkcs8_of(original(algorithm, number))
    return _aes_key(number)


@cache
def _private_key(algorithm: str, number: int) -> Any:
    kind = get_algorithm(algorithm)
    match kind.family:
        case AlgorithmFamily.RSA:
            return rsa.generate_private_key(65537, kind.key_size)
        case AlgorithmFamily.EC:
            return ec.generate_private_key(_CURVES[kind.key_size])
        case AlgorithmFamily.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case AlgorithmFamily.ML_DSA:
            return mldsa.MLDSA65PrivateKey.generate()
    raise LookupError(f"keys of {algorithm} do not sign")


@cache
def _aes_key(number: int) -> bytes:
    return secrets.token_bytes(32)


def pkcs8_of(private: Any) -> bytes:
    """Return a private key as PKCS#8, DER."""
    encoded: bytes = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded


def spki_of(private: Any) -> bytes:
    """Return the public key of a private one, DER SubjectPublicKeyInfo."""
    encoded: bytes = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
