"""How a private key signs with each scheme that its algorithm has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keyclave.crypto.algorithms import PrivateKey, signing_arguments
from keyclave.crypto.wrapping import METHODS
from keyclave.models import AlgorithmFamily, KeyAlgorithm, get_signature_scheme
from keyclave.plugin import AlgorithmSupport, SchemeSupport, SignatureEncoding, SigningInput

from keyclave_software.encryption import FORM
from keyclave_software.limits import MAX_PLAINTEXT

__all__ = ["Sign", "signers", "support"]

Sign = Callable[[bytes], bytes]
"""Takes a digest, or a message where the scheme has no digest; returns a signature."""


def support(algorithm: KeyAlgorithm) -> AlgorithmSupport:
    """Return what this backend does with keys of an algorithm."""
    encrypts = algorithm.family is AlgorithmFamily.AES
    encoding = SignatureEncoding.DER if algorithm.family is AlgorithmFamily.EC else SignatureEncoding.RAW
    return AlgorithmSupport(
        algorithm=algorithm.name,
        schemes=tuple(
            SchemeSupport(scheme=scheme, input=_input(scheme), encoding=encoding) for scheme in algorithm.schemes
        ),
        max_plaintext=MAX_PLAINTEXT if encrypts else None,
        binds_aad=encrypts,
        ciphertext_form=FORM if encrypts else None,
        wrap_methods=METHODS,
        import_methods=METHODS,
    )


def signers(private_key: PrivateKey, algorithm: KeyAlgorithm) -> dict[str, Sign]:
    """Return a function for each scheme; each takes what `support` says."""
    return {scheme: _signer(private_key, scheme) for scheme in algorithm.schemes}


def _input(scheme: str) -> SigningInput:
    return SigningInput.DIGEST if get_signature_scheme(scheme).digest else SigningInput.MESSAGE


def _signer(private_key: PrivateKey, scheme: str) -> Sign:
    # Kinds of private keys differ in what sign takes after the data, and the scheme fits the key.
    sign: Any = private_key.sign
    arguments = signing_arguments(scheme, prehashed=_input(scheme) is SigningInput.DIGEST)
    if not arguments:
        return sign  # type: ignore[no-any-return]  # as above
    if len(arguments) == 1:
        (only,) = arguments
        return lambda data: sign(data, only)  # faster than unpacking, and this is the hot path
    return lambda data: sign(data, *arguments)
