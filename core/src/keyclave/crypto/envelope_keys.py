"""How an envelope begins: a data key, what commits to it, and the cipher of the segments."""

from __future__ import annotations

import os
from collections.abc import Callable
from hmac import compare_digest
from typing import TypeAlias
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretBytes

from keyclave.crypto.envelope_header import (
    COMMITMENT_SIZE,
    MAXIMUM_WRAPPED_SIZE,
    NONCE_PREFIX_SIZE,
    SALT_SIZE,
    EnvelopeHeader,
    decryption_failed,
    pack_bound,
    pack_context,
)
from keyclave.errors import BackendError, DecryptionFailed, InvalidArgument

__all__ = ["DATA_KEY_SIZE", "UnwrapDataKey", "WrapDataKey", "begin", "resume", "view"]

WrapDataKey: TypeAlias = Callable[[SecretBytes, bytes], bytes]
"""Takes a data key (32 bytes) and the context to bind to it; returns the wrapped data key, 1 to 8192 bytes."""

UnwrapDataKey: TypeAlias = Callable[[bytes, bytes], SecretBytes]
"""Takes a wrapped data key and the context bound to it; returns the data key."""

DATA_KEY_SIZE = 32
_SEGMENT_KEY_SIZE = 32
_MAXIMUM_VERSION = (1 << 32) - 1
_SHA256 = hashes.SHA256()


def begin(key_id: UUID, version: int, wrap_data_key: WrapDataKey, aad: bytes | None) -> tuple[bytes, bytes, AESGCM]:
    """Return the header of a new envelope, the prefix of its nonces, and its cipher.

    Raises:
        InvalidArgument: key id, version or associated data cannot be right.
        BackendError: the backend returned no wrapped key that an envelope can hold.
    """
    if not isinstance(key_id, UUID):
        raise InvalidArgument("the key id must be a UUID")
    if not isinstance(version, int) or not 1 <= version <= _MAXIMUM_VERSION:
        raise InvalidArgument(f"the key version must be a number from 1 to {_MAXIMUM_VERSION}")
    associated = _associated(aad)
    context = pack_context(key_id, version)
    data_key = SecretBytes(os.urandom(DATA_KEY_SIZE))
    wrapped = wrap_data_key(data_key, context)
    if not isinstance(wrapped, bytes) or not 1 <= len(wrapped) <= MAXIMUM_WRAPPED_SIZE:
        raise BackendError(f"the backend did not return a wrapped key of 1 to {MAXIMUM_WRAPPED_SIZE} bytes")
    random = os.urandom(SALT_SIZE + NONCE_PREFIX_SIZE)
    bound = pack_bound(context, wrapped, random)
    cipher, commitment = _derive(data_key, random[:SALT_SIZE], bound, associated)
    return bound + commitment, random[SALT_SIZE:], cipher


def resume(header: EnvelopeHeader, unwrap_data_key: UnwrapDataKey, aad: bytes | None) -> AESGCM:
    """Return the cipher of an envelope whose header, data key and associated data belong together.

    Raises:
        DecryptionFailed: they do not.
        InvalidArgument: the associated data are not bytes.
    """
    associated = _associated(aad)
    try:
        data_key = unwrap_data_key(header.wrapped_key, header.context)
    except (DecryptionFailed, InvalidArgument):
        # What was wrong with the wrapped key comes from the ciphertext, and is nobody's business.
        data_key = SecretBytes(b"")
    if len(data_key) != DATA_KEY_SIZE:
        raise decryption_failed()
    cipher, commitment = _derive(data_key, header.salt, header.bound, associated)
    if not compare_digest(commitment, header.commitment):
        raise decryption_failed()
    return cipher


def view(data: object, what: str) -> memoryview:
    """Return bytes-like data as a view of single bytes; raise ``InvalidArgument``, naming it, for anything else."""
    if isinstance(data, memoryview):
        return data.cast("B") if data.c_contiguous else memoryview(data.tobytes())
    if not isinstance(data, bytes | bytearray):
        raise InvalidArgument(f"{what} must be bytes, not {type(data).__name__}")
    return memoryview(data)


def _associated(aad: bytes | None) -> bytes | memoryview:
    return b"" if aad is None else view(aad, "associated data")


def _derive(data_key: SecretBytes, salt: bytes, bound: bytes, associated: bytes | memoryview) -> tuple[AESGCM, bytes]:
    """Return the cipher of the segments, and the commitment: the two halves of 64 bytes of HKDF-SHA256."""
    info = bound + associated if associated else bound
    output = HKDF(_SHA256, _SEGMENT_KEY_SIZE + COMMITMENT_SIZE, salt, info).derive(data_key.get_secret_value())
    return AESGCM(output[:_SEGMENT_KEY_SIZE]), output[_SEGMENT_KEY_SIZE:]
