"""PKCS#8 private keys (RFC 5958): written in one form, and read from others only where they say the same."""

from __future__ import annotations

from typing import cast

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import serialization
from keyclave.crypto.algorithms import PrivateKey
from pydantic import SecretBytes

__all__ = ["read", "write"]


@asn1.sequence
class _PrivateKeyInfo:
    version: int
    algorithm: asn1.TLV
    private_key: bytes


def read(secret: SecretBytes) -> PrivateKey | None:
    """Return the private key in a PKCS#8 encoding; ``None`` if it is malformed, encrypted or says more than that.

    `cryptography` also reads PKCS#1 and SEC1, and drops what the key it returns has no place for: attributes and
    the parameters of RSASSA-PSS, which can restrict a key, and explicit parameters of a curve.
    """
    try:
        private_key = cast("PrivateKey", serialization.load_der_private_key(secret.get_secret_value(), None))
        is_plain = _frame(secret) == _frame(write(private_key))
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):  # the last for an Ed25519 key of 31 bytes
        return None
    return private_key if is_plain else None


def write(private_key: PrivateKey) -> SecretBytes:
    """Return the private key as PKCS#8, DER."""
    return SecretBytes(
        private_key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _frame(pkcs8: SecretBytes) -> tuple[int, bytes]:
    """Return version and algorithm; raise ``ValueError`` if there is more in it than these and the key."""
    info = asn1.decode_der(_PrivateKeyInfo, pkcs8.get_secret_value())
    return info.version, bytes(info.algorithm.data)
