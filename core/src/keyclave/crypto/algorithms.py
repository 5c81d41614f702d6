"""What the registered names of algorithms and schemes mean to `cryptography`: key types, hashes and paddings.

Hash and padding objects are made once and shared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from keyclave.errors import InvalidArgument
from keyclave.models.algorithms import ALGORITHMS, SignatureScheme, get_signature_scheme

__all__ = [
    "PrivateKey",
    "PublicKey",
    "algorithm_of",
    "bind_digest",
    "hash_of",
    "load_public_key",
    "signing_arguments",
    "verification_arguments",
]

PublicKey: TypeAlias = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | mldsa.MLDSA65PublicKey
)
PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey
)

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_CURVES = {"secp256r1": "ECDSA_P256", "secp384r1": "ECDSA_P384"}


def load_public_key(spki: bytes) -> PublicKey:
    """Return the public key in a SubjectPublicKeyInfo (RFC 5280, section 4.1).

    Args:
        spki: strict DER in the one form that `cryptography` writes: named curves, uncompressed points on the
            curve, ``rsaEncryption`` with NULL parameters, and nothing after it.

    Raises:
        InvalidArgument: it is anything else, or a key of an algorithm that is not registered.
    """
    try:
        key = serialization.load_der_public_key(spki)
        canonical = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        canonical = None
    if canonical is None or canonical != spki:
        raise InvalidArgument("the public key is not a DER SubjectPublicKeyInfo of a supported algorithm")
    algorithm_of(key)
    return cast("PublicKey", key)


def algorithm_of(key: object) -> str:
    """Return the registered name of the algorithm of a public or private key of `cryptography`.

    Raises:
        InvalidArgument: there is no registered algorithm for this kind, size or curve of key.
    """
    match key:
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            name = f"RSA_{key.key_size}"
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            name = _CURVES.get(key.curve.name, key.curve.name)
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            name = "ED25519"
        case mldsa.MLDSA65PublicKey() | mldsa.MLDSA65PrivateKey():
            name = "ML_DSA_65"
        case _:
            name = type(key).__name__
    if name not in ALGORITHMS:
        raise InvalidArgument(f"no algorithm is registered for a key of type {name}")
    return name


def hash_of(scheme_name: str) -> hashes.HashAlgorithm:
    """Return the hash that a scheme applies to the message first.

    Raises:
        InvalidArgument: the scheme is unknown, or takes the whole message (Ed25519, ML-DSA).
    """
    scheme = get_signature_scheme(scheme_name)
    if scheme.digest is None:
        raise InvalidArgument(
            f"{scheme.name} signs messages, not digests", next_step="Pass the message, without prehashed."
        )
    return _HASHES[scheme.digest]


def bind_digest(scheme_name: str) -> Callable[[bytes], bytes]:
    """Return a function from data to the digest that a scheme signs: 32, 48 or 64 bytes.

    Raises:
        InvalidArgument: the scheme is unknown or takes the whole message.

    >>> len(bind_digest("ECDSA_SHA384")(b"message"))
    48
    """
    new = getattr(hashlib, hash_of(scheme_name).name)  # a third of the price of the class in `cryptography`
    return lambda data: new(data).digest()


@cache
def signing_arguments(scheme_name: str, *, prehashed: bool = False) -> tuple[Any, ...]:
    """Return what follows the data in ``private_key.sign(data, ...)`` of `cryptography`.

    With ``prehashed`` the data is a digest. The salt of PSS is as long as the digest, as FIPS 186-5 (section 5.4)
    allows and RFC 7518 (section 3.5) demands.

    Raises:
        InvalidArgument: the scheme is unknown, or takes the whole message and cannot be ``prehashed``.
    """
    scheme = get_signature_scheme(scheme_name)
    return _arguments(scheme, scheme.digest_size, prehashed=prehashed)


@cache
def verification_arguments(scheme_name: str, *, prehashed: bool = False) -> tuple[Any, ...]:
    """Return what follows in ``public_key.verify(signature, data, ...)`` of `cryptography`.

    With ``prehashed`` the data is a digest. PSS is verified with whatever salt length the signature shows: the
    length is a parameter of the signer, not of the key (RFC 8017, section 9.1), some TPMs and cloud emulators use
    the longest that fits, and no length makes a forgery easier. The hash, and MGF1 over the same hash, are fixed.

    Raises:
        InvalidArgument: the scheme is unknown, or takes the whole message and cannot be ``prehashed``.
    """
    return _arguments(get_signature_scheme(scheme_name), padding.PSS.AUTO, prehashed=prehashed)


def _arguments(scheme: SignatureScheme, pss_salt: Any, *, prehashed: bool) -> tuple[Any, ...]:
    if scheme.digest is None and not prehashed:
        return ()
    hash_algorithm = hash_of(scheme.name)
    wanted = Prehashed(hash_algorithm) if prehashed else hash_algorithm
    if scheme.name.startswith("ECDSA"):
        return (ec.ECDSA(wanted),)
    if scheme.name.startswith("RSA_PSS"):
        return (padding.PSS(mgf=padding.MGF1(hash_algorithm), salt_length=pss_salt), wanted)
    return (padding.PKCS1v15(), wanted)
