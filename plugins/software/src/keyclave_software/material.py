"""Private and secret keys of each algorithm: made, taken in, written out and read back.

A private key is stored as PKCS#8 (RFC 5958), an AES key as its 32 bytes.
"""

from __future__ import annotations

import os
from functools import cache
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from keyclave.crypto.algorithms import PrivateKey
from keyclave.crypto.key_checks import check_private_key
from keyclave.crypto.padded_keys import without_padding
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.models import ALGORITHMS, AlgorithmFamily, KeyAlgorithm, get_algorithm
from pydantic import SecretBytes

from keyclave_software import pkcs8

__all__ = ["checked", "generate", "load_private_key", "public_key", "supported_algorithms"]

_AES_BYTES = 32
_RSA_EXPONENT = 65537
_CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1()}


@cache
def supported_algorithms() -> tuple[KeyAlgorithm, ...]:
    """Return the algorithms of which this installation of `cryptography` can make keys; old ones lack ML-DSA."""
    return tuple(algorithm for algorithm in ALGORITHMS.values() if _is_supported(algorithm))


def generate(algorithm_name: str) -> SecretBytes:
    """Return a new private or secret key, as it is stored.

    Raises:
        InvalidArgument: the algorithm is unknown.
        CapabilityUnsupported: `cryptography` cannot make such a key here.
    """
    algorithm = get_algorithm(algorithm_name)
    if algorithm not in supported_algorithms():
        raise CapabilityUnsupported(f"keys of algorithm {algorithm.name} cannot be made in software here")
    if algorithm.family is AlgorithmFamily.AES:
        return SecretBytes(os.urandom(_AES_BYTES))
    return pkcs8.write(_generate_private_key(algorithm))


def checked(secret: SecretBytes, algorithm_name: str) -> SecretBytes:
    """Return a key that came from outside, as it is stored.

    Args:
        secret: a PKCS#8 private key (see `keyclave_software.pkcs8`), or the bytes of an AES key.
        algorithm_name: what it must be.

    Raises:
        InvalidArgument: it is not a good key of this algorithm; see `keyclave.crypto.key_checks`.
    """
    if get_algorithm(algorithm_name).family is AlgorithmFamily.AES:
        if len(secret) != _AES_BYTES:
            raise InvalidArgument(f"the wrapped key is not a key of algorithm {algorithm_name}")
        return secret
    private_key = pkcs8.read(without_padding(secret))
    if private_key is None:
        raise InvalidArgument("the wrapped key is not a valid PKCS#8 private key without attributes")
    check_private_key(private_key, algorithm_name)
    return pkcs8.write(private_key)


def load_private_key(secret: SecretBytes) -> PrivateKey:
    """Return the private key in what `generate` or `checked` returned.

    An RSA key was checked when it was made or taken in, and its file is authenticated: the check, which takes 35 ms
    for 2048 bits and 250 ms for 4096, is not repeated.
    """
    return cast(
        "PrivateKey",
        serialization.load_der_private_key(secret.get_secret_value(), None, unsafe_skip_rsa_key_validation=True),
    )


def public_key(private_key: PrivateKey) -> bytes:
    """Return the public key, as DER SubjectPublicKeyInfo."""
    return private_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _is_supported(algorithm: KeyAlgorithm) -> bool:
    if algorithm.family is not AlgorithmFamily.ML_DSA:
        return True
    try:
        mldsa.MLDSA65PrivateKey.generate()
    except UnsupportedAlgorithm:
        return False
    return True


def _generate_private_key(algorithm: KeyAlgorithm) -> PrivateKey:
    match algorithm.family:
        case AlgorithmFamily.RSA:
            return rsa.generate_private_key(_RSA_EXPONENT, algorithm.key_size)
        case AlgorithmFamily.EC:
            return ec.generate_private_key(_CURVES[algorithm.key_size])
        case AlgorithmFamily.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return mldsa.MLDSA65PrivateKey.generate()
