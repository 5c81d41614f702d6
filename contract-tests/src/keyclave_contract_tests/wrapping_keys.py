"""RSA keys of this process that checks have keys wrapped under, made once."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["wrapping_key", "wrapping_spki"]

_BITS = 3072


def wrapping_key(bits: int = _BITS) -> rsa.RSAPrivateKey:
    """Return the private key to unwrap with."""
    return _private_key(bits)


def wrapping_spki(bits: int = _BITS) -> bytes:
    """Return its public key, DER SubjectPublicKeyInfo."""
    public = wrapping_key(bits).public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@cache
def _private_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
