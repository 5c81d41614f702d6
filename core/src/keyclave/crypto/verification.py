"""Verify signatures with a public key, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import rsa

from keyclave.crypto.algorithms import PublicKey, algorithm_of, verification_arguments
from keyclave.errors import InvalidArgument, InvalidSignature, KeyclaveError, VerificationError
from keyclave.models.algorithms import get_algorithm, scheme_for

__all__ = ["bind_verifier"]


def bind_verifier(
    public_key: PublicKey, scheme_name: str, *, prehashed: bool = False
) -> Callable[[bytes, bytes], None]:
    """Return a function that takes data and signature and raises unless the signature is right.

    Everything that depends on the key and the scheme happens here, once, so that the function costs what
    `cryptography` costs.

    Args:
        public_key: a public key of `cryptography`, as ``load_public_key`` returns it.
        scheme_name: a signature scheme that keys of this algorithm sign with.
        prehashed: the data is the digest of the message, not the message.

    Returns:
        A function of data and signature, both bytes-like. ECDSA signatures are strict DER (RFC 3279), all others
        raw, and those of RSA exactly as long as the modulus (RFC 8017, sections 8.1.2 and 8.2.2); PSS salts may have
        any length. It raises ``InvalidSignature`` when the signature is wrong or malformed
        in any way, ``InvalidArgument`` when data or signature are not bytes or a digest has the wrong length, and
        ``VerificationError`` when `cryptography` cannot check it.

    Raises:
        InvalidArgument: key and scheme do not fit, or the scheme cannot be ``prehashed``.
    """
    scheme = scheme_for(get_algorithm(algorithm_of(public_key)), scheme_name)
    arguments = verification_arguments(scheme.name, prehashed=prehashed)
    raw_verify: Callable[..., None] = public_key.verify
    if isinstance(public_key, rsa.RSAPublicKey):
        raw_verify = _only_of_length(public_key.key_size // 8, raw_verify)

    def verify(data: bytes, signature: bytes) -> None:
        try:
            raw_verify(signature, data, *arguments)
        except Exception as error:
            # Raising after the block leaves the foreign error, and what its frames hold, out of __context__.
            refused = type(error)
        else:
            return
        raise _explain(refused, data, scheme.digest_size if prehashed else None)

    return verify


def _only_of_length(size: int, raw_verify: Callable[..., None]) -> Callable[..., None]:
    # OpenSSL takes a PSS signature that begins with a zero byte without that byte, too.
    def verify(signature: bytes, data: bytes, *arguments: Any) -> None:
        raw_verify(signature, data, *arguments)
        if len(signature) != size:
            raise exceptions.InvalidSignature

    return verify


def _explain(refused: type[Exception], data: bytes, digest_size: int | None) -> KeyclaveError:
    if issubclass(refused, exceptions.InvalidSignature):
        return InvalidSignature("the signature was not made over this data by this key")
    if issubclass(refused, (TypeError, BufferError)):
        return InvalidArgument("data and signature must be bytes")
    if digest_size is not None and len(data) != digest_size:
        return InvalidArgument(f"a digest of {digest_size} bytes was expected, not {len(data)}")
    return VerificationError(f"the signature could not be checked: {refused.__name__}")
