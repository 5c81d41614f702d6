"""RSA-AES key wrap: a key of any length, encrypted under an RSA public key (PKCS#11 2.40, section 2.1.21)."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import SecretBytes

from keyclave.crypto.algorithms import algorithm_of, load_public_key
from keyclave.crypto.key_checks import check_public_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.plugin.records import RSA_AES_KEY_WRAP_SHA1, RSA_AES_KEY_WRAP_SHA256

__all__ = ["METHODS", "generate_wrapping_key", "load_wrapping_key", "oaep_of", "unwrap_key", "wrap_key"]

_WRAPPING_BITS = 3072
_KEK_SIZE = 32
_OAEP = {
    RSA_AES_KEY_WRAP_SHA256: padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
    RSA_AES_KEY_WRAP_SHA1: padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303  see the name
}

METHODS = tuple(_OAEP)
"""The methods, the preferred one first."""


def oaep_of(method: str) -> padding.OAEP:
    """Return the padding of the first part of a blob: the AES key, under the RSA key.

    Raises:
        CapabilityUnsupported: the method is unknown.
    """
    if method not in _OAEP:
        raise CapabilityUnsupported(f"keys cannot be wrapped by the method {method!r}")
    return _OAEP[method]


def generate_wrapping_key() -> rsa.RSAPrivateKey:
    """Return a new RSA key of 3072 bits to receive one key under."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_WRAPPING_BITS)


def load_wrapping_key(spki: bytes) -> rsa.RSAPublicKey:
    """Return the key to wrap under, from its DER SubjectPublicKeyInfo.

    Raises:
        InvalidArgument: it is not RSA of 3072 or 4096 bits, or weak.
    """
    key = load_public_key(spki)
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _WRAPPING_BITS:
        raise InvalidArgument(f"the wrapping key must be an RSA key of {_WRAPPING_BITS} bits or more")
    check_public_key(spki, algorithm_of(key))
    return key


def wrap_key(key: SecretBytes, wrapping_spki: bytes, method: str) -> bytes:
    """Encrypt a key under an RSA public key. Two calls return two different blobs.

    Args:
        key: the PKCS#8 private key (DER) or the raw secret key; not empty.
        wrapping_spki: DER SubjectPublicKeyInfo of an RSA key of 3072 or 4096 bits.
        method: one of ``METHODS``.

    Returns:
        RSA-OAEP (RFC 8017, MGF1 with the same hash, empty label) of a fresh AES-256 key, followed by AES-KWP
        (RFC 5649) of the key under it.

    Raises:
        CapabilityUnsupported: another method.
        InvalidArgument: the key is empty, or the wrapping key is not RSA, too short or weak.
    """
    oaep = oaep_of(method)
    if not key:
        raise InvalidArgument("there is no key to wrap")
    wrapping_key = load_wrapping_key(wrapping_spki)
    kek = SecretBytes(secrets.token_bytes(_KEK_SIZE))
    return wrapping_key.encrypt(kek.get_secret_value(), oaep) + keywrap.aes_key_wrap_with_padding(
        kek.get_secret_value(), key.get_secret_value()
    )


def unwrap_key(blob: bytes, wrapping_private_key: rsa.RSAPrivateKey, method: str) -> SecretBytes:
    """Return the key that ``wrap_key`` put into the blob.

    Every malformed blob is refused with the same words. How long a refusal takes is not hidden: use a wrapping key
    for one blob only.

    Args:
        blob: what ``wrap_key`` returned.
        wrapping_private_key: the RSA private key whose public key it was wrapped under.
        method: one of ``METHODS``.

    Raises:
        InvalidArgument: the blob is malformed or was made for another key or by another method.
    """
    key = _unwrap(blob, wrapping_private_key, _OAEP[method]) if method in _OAEP else None
    if key is None:
        raise InvalidArgument("the wrapped key cannot be unwrapped")
    return key


def _unwrap(blob: bytes, wrapping_private_key: rsa.RSAPrivateKey, oaep: padding.OAEP) -> SecretBytes | None:
    size = wrapping_private_key.key_size // 8
    try:
        kek = SecretBytes(wrapping_private_key.decrypt(blob[:size], oaep))
        if len(kek) != _KEK_SIZE:
            return None
        return SecretBytes(keywrap.aes_key_unwrap_with_padding(kek.get_secret_value(), blob[size:]))
    except (ValueError, TypeError, keywrap.InvalidUnwrap):
        return None
