"""Checks of keys that come from outside: the right algorithm, well formed, not known to be weak."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from keyclave.crypto.algorithms import (
    PrivateKey,
    PublicKey,
    algorithm_of,
    load_public_key,
    signing_arguments,
)
from keyclave.crypto.ed25519_checks import check_point
from keyclave.crypto.rsa_checks import check_private_numbers, check_public_numbers
from keyclave.errors import InvalidArgument
from keyclave.models.algorithms import get_algorithm, scheme_for

__all__ = ["check_private_key", "check_public_key"]


def check_public_key(spki: bytes, algorithm_name: str) -> None:
    """Refuse a public key that is not a good key of the named algorithm.

    Args:
        spki: DER SubjectPublicKeyInfo.
        algorithm_name: a name of `keyclave.models.algorithms`.

    Raises:
        InvalidArgument: it is not strict DER, of another algorithm, size or curve, a point that is not on the
            curve, or weak: see `keyclave.crypto.rsa_checks` and `keyclave.crypto.ed25519_checks`.
    """
    key = load_public_key(spki)
    _require_algorithm(key, algorithm_name)
    _check_public(key)


def check_private_key(private_key: PrivateKey, algorithm_name: str) -> None:
    """Refuse a private key that is not a good key of the named algorithm.

    It makes one signature and verifies it. For RSA it takes tens to hundreds of milliseconds, since the primes
    are tested.

    Args:
        private_key: a private key of `cryptography`.
        algorithm_name: a name of `keyclave.models.algorithms`.

    Raises:
        InvalidArgument: it is of another algorithm, size or curve, its public half is refused by
            ``check_public_key``, it is weak, or its halves do not belong together.
    """
    _require_algorithm(private_key, algorithm_name)
    public_key = private_key.public_key()
    _check_public(public_key)
    if isinstance(private_key, rsa.RSAPrivateKey):
        check_private_numbers(private_key.private_numbers())
    if not _halves_match(private_key, public_key):
        raise InvalidArgument("the private and the public half of the key do not belong together")


def _require_algorithm(key: object, algorithm_name: str) -> None:
    wanted, found = get_algorithm(algorithm_name).name, algorithm_of(key)
    if found != wanted:
        raise InvalidArgument(f"the key is of algorithm {found}, not {wanted}")


def _check_public(key: PublicKey) -> None:
    """Check what `cryptography` did not check when it loaded the key; it does refuse points off a NIST curve."""
    if isinstance(key, rsa.RSAPublicKey):
        check_public_numbers(key.public_numbers())
    elif isinstance(key, ed25519.Ed25519PublicKey):
        check_point(key.public_bytes_raw())


def _halves_match(private_key: PrivateKey, public_key: PublicKey) -> bool:
    challenge = secrets.token_bytes(32)
    arguments = signing_arguments(scheme_for(get_algorithm(algorithm_of(private_key)), None).name)
    try:
        public_key.verify(private_key.sign(challenge, *arguments), challenge, *arguments)
    except Exception:
        return False
    return True
