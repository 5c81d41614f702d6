"""The independent judge of signatures: `cryptography` alone, without anything of Keyclave's or of the backend.

Sources: RSASSA-PKCS1-v1_5 and RSASSA-PSS, RFC 8017; ECDSA, FIPS 186-5, with Ecdsa-Sig-Value of RFC 3279; Ed25519,
RFC 8032; ML-DSA, FIPS 204.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from keyclave.plugin import SchemeSupport, SignatureEncoding, SigningInput

__all__ = [
    "as_input",
    "digest",
    "hash_of",
    "in_public_form",
    "is_valid",
    "load",
    "salt_length",
    "verification_arguments",
]

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}


def hash_of(scheme: str) -> hashes.HashAlgorithm | None:
    """Return the hash function of a scheme; ``None`` where it takes the whole message."""
    return _HASHES.get(scheme.rpartition("_")[2])


def digest(message: bytes, scheme: str) -> bytes:
    """Return the digest that a scheme makes of a message; of SHA-256 where the scheme takes the whole message."""
    function = hash_of(scheme) or hashes.SHA256()
    return hashlib.new(function.name, message).digest()


def as_input(message: bytes, scheme: SchemeSupport) -> bytes:
    """Return what the backend wants for a message: the message, or its digest."""
    if scheme.input is SigningInput.MESSAGE:
        return message
    return digest(message, scheme.scheme)


def in_public_form(signature: bytes, scheme: SchemeSupport) -> bytes | None:
    """Return the signature as DER where it is ECDSA, and as it is otherwise; ``None`` for a P1363 of odd length."""
    if scheme.encoding is not SignatureEncoding.P1363:
        return signature
    half, odd = divmod(len(signature), 2)
    if odd:
        return None
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def load(spki: bytes) -> Any:
    """Return the public key of DER SubjectPublicKeyInfo; raise ``ValueError`` for anything else."""
    return serialization.load_der_public_key(spki)


def verification_arguments(
    scheme: str, *, salt_length: int | None = None, prehashed: bool = False
) -> tuple[Any, ...]:
    """Return what `cryptography` wants besides signature and data; the PSS salt is as long as the digest."""
    function = hash_of(scheme)
    if function is None:
        return ()
    named = Prehashed(function) if prehashed else function
    if scheme.startswith("ECDSA"):
        return (ec.ECDSA(named),)
    if scheme.startswith("RSA_PKCS1"):
        return padding.PKCS1v15(), named
    length = function.digest_size if salt_length is None else salt_length
    return padding.PSS(mgf=padding.MGF1(function), salt_length=length), named


def is_valid(
    spki: bytes,
    scheme: str,
    message: bytes,
    signature: bytes | None,
    *,
    salt_length: int | None = None,
    prehashed: bool = False,
) -> bool:
    """Return whether a signature in its public form is right for the message, or for the digest if ``prehashed``."""
    if signature is None:
        return False
    arguments = verification_arguments(scheme, salt_length=salt_length, prehashed=prehashed)
    key = load(spki)
    if scheme.startswith("RSA") and len(signature) != key.key_size // 8:  # OpenSSL does without a leading zero byte
        return False
    try:
        key.verify(signature, message, *arguments)
    except (InvalidSignature, ValueError):
        return False
    return True


def salt_length(spki: bytes, scheme: str, message: bytes, signature: bytes) -> int | None:
    """Return how long the salt of a PSS signature is; ``None`` if the signature is right with none."""
    longest = load(spki).key_size // 8
    fits = (n for n in range(longest) if is_valid(spki, scheme, message, signature, salt_length=n))
    return next(fits, None)
