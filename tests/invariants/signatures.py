"""Signatures, verified by `cryptography` and the public key that is stored."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.invariants.state import Row

__all__ = ["verifies"]


def verifies(version: Row | None, message: str, signature: str) -> bool:
    """Return whether a version made a signature; both are in hexadecimal, keys are Ed25519 or P-256."""
    if version is None or version["public_key"] is None:
        return False
    key = load_der_public_key(version["public_key"])
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(bytes.fromhex(signature), bytes.fromhex(message))
        elif isinstance(key, EllipticCurvePublicKey):
            key.verify(bytes.fromhex(signature), bytes.fromhex(message), ECDSA(SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True
