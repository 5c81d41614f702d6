"""The segments of an envelope: their size, their nonces, and how one is opened."""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyclave.crypto.envelope_header import decryption_failed
from keyclave.errors import InvalidArgument

__all__ = ["SEGMENT_SIZE", "TAG_SIZE", "open_into", "segment_nonce"]

SEGMENT_SIZE = 1 << 20
"""Bytes of plaintext in each segment but the last."""
TAG_SIZE = 16

_MAXIMUM_SEGMENTS = 1 << 32
_NONCE = struct.Struct(">7sIB")


def segment_nonce(prefix: bytes, counter: int, *, last: bool) -> bytes:
    """Return the nonce of a segment: 7 bytes of prefix, 4 of counter from 0, 1 that says whether it is the last.

    Raises:
        InvalidArgument: the counter has no further value: one message is at most 4 PiB.
    """
    if counter >= _MAXIMUM_SEGMENTS:
        raise InvalidArgument("one message is at most 4 PiB", next_step="Encrypt the data in several messages.")
    return _NONCE.pack(prefix, counter, last)


def open_into(cipher: AESGCM, nonce: bytes, segment: bytes | memoryview, buffer: memoryview) -> None:
    """Decrypt a segment into a buffer of its size without the tag.

    Raises:
        DecryptionFailed: it is not authentic; what the buffer holds then must not be used.
    """
    authentic = len(segment) >= TAG_SIZE
    if authentic:
        try:
            cipher.decrypt_into(nonce, segment, None, buffer)
        except InvalidTag:
            authentic = False
    if not authentic:
        raise decryption_failed()
