"""The header of an envelope: what it is, which key opens it, and what that key wrapped.

    offset  size  field
    0       4     magic, ``KCE1``
    4       1     suite, 1
    5       16    key id, the bytes of the UUID
    21      4     version of the key
    25      2     n, size of the wrapped data key, 1 to 8192
    27      n     wrapped data key, as the backend returned it
    27+n    32    salt
    59+n    7     nonce prefix
    66+n    32    commitment to data key, header and associated data

Integers are unsigned and big-endian. The first 25 bytes are the context that the backend binds to the data key.
"""

from __future__ import annotations

import struct
from typing import BinaryIO
from uuid import UUID

from keyclave.crypto.envelope_pieces import read_piece
from keyclave.errors import DecryptionFailed, InvalidArgument
from keyclave.plugin.records import Record

__all__ = [
    "COMMITMENT_SIZE",
    "MAXIMUM_HEADER_SIZE",
    "MAXIMUM_WRAPPED_SIZE",
    "NONCE_PREFIX_SIZE",
    "SALT_SIZE",
    "SUITE",
    "EnvelopeHeader",
    "decryption_failed",
    "pack_bound",
    "pack_context",
    "read_header",
]

SUITE = "AES_256_GCM_HKDF_SHA256_1MIB"
SALT_SIZE = 32
NONCE_PREFIX_SIZE = 7
COMMITMENT_SIZE = 32
MAXIMUM_WRAPPED_SIZE = 8192
"""No backend returns more for 32 bytes: AWS KMS, the longest, stops at 6144."""

_MAGIC = b"KCE1"
_SUITE_1 = 1
_CONTEXT = struct.Struct(">4sB16sI")
_FIXED_SIZE = _CONTEXT.size + 2
_TAIL_SIZE = SALT_SIZE + NONCE_PREFIX_SIZE + COMMITMENT_SIZE
MAXIMUM_HEADER_SIZE = _FIXED_SIZE + MAXIMUM_WRAPPED_SIZE + _TAIL_SIZE


class EnvelopeHeader(Record, frozen=True, kw_only=True):
    """What an envelope says of itself. Nothing of it is authentic before a decryption succeeded.

    Attributes:
        key_id: the key that wrapped the data key.
        version: the version of that key, from 1.
        suite: the algorithms, `SUITE`.
        wrapped_key: the data key as the backend wrapped it, 1 to 8192 bytes.
        salt: 32 random bytes, the salt of HKDF.
        nonce_prefix: 7 random bytes, the beginning of each segment's nonce.
        commitment: 32 bytes derived from data key, header and associated data.
    """

    key_id: UUID
    version: int
    suite: str
    wrapped_key: bytes
    salt: bytes
    nonce_prefix: bytes
    commitment: bytes

    @property
    def context(self) -> bytes:
        """What the backend binds to the data key as associated data: the first 25 bytes."""
        return pack_context(self.key_id, self.version)

    @property
    def bound(self) -> bytes:
        """What the segment key and the commitment are bound to: the header without the commitment."""
        return pack_bound(self.context, self.wrapped_key, self.salt + self.nonce_prefix)

    @property
    def size(self) -> int:
        """Bytes of the header in the envelope; the first segment follows."""
        return _FIXED_SIZE + len(self.wrapped_key) + _TAIL_SIZE


def pack_context(key_id: UUID, version: int) -> bytes:
    """Return the first 25 bytes of the header: format, suite, key id and version."""
    return _CONTEXT.pack(_MAGIC, _SUITE_1, key_id.bytes, version)


def pack_bound(context: bytes, wrapped_key: bytes, random: bytes) -> bytes:
    """Return the header without the commitment, which ends it; ``random`` is salt and nonce prefix."""
    return b"".join((context, len(wrapped_key).to_bytes(2), wrapped_key, random))


def read_header(source: BinaryIO) -> EnvelopeHeader:
    """Read the header from a binary file, and leave the file at the first segment.

    Raises:
        InvalidArgument: the content does not begin as an envelope does, or the file is not a blocking binary one.
            That it is no envelope is plain to everybody, so it may be said.
        DecryptionFailed: it begins as an envelope does, and is none, or one of a suite that is not known.
        OSError: the file cannot be read.
    """
    fixed = read_piece(source, _FIXED_SIZE)
    if not fixed.startswith(_MAGIC):
        raise InvalidArgument(
            "this is not a Keyclave ciphertext: it does not begin with KCE1",
            next_step="Pass what encrypt returned, unchanged and from its beginning.",
        )
    if len(fixed) != _FIXED_SIZE:
        raise decryption_failed()
    _, suite, key_id, version = _CONTEXT.unpack_from(fixed)
    wrapped_size = int.from_bytes(fixed[_CONTEXT.size :])
    if suite != _SUITE_1 or version < 1 or not 1 <= wrapped_size <= MAXIMUM_WRAPPED_SIZE:
        raise decryption_failed()
    rest = read_piece(source, wrapped_size + _TAIL_SIZE)
    if len(rest) != wrapped_size + _TAIL_SIZE:
        raise decryption_failed()
    salt_at = wrapped_size
    prefix_at = salt_at + SALT_SIZE
    commitment_at = prefix_at + NONCE_PREFIX_SIZE
    return EnvelopeHeader(
        key_id=UUID(bytes=key_id),
        version=version,
        suite=SUITE,
        wrapped_key=rest[:salt_at],
        salt=rest[salt_at:prefix_at],
        nonce_prefix=rest[prefix_at:commitment_at],
        commitment=rest[commitment_at:],
    )


def decryption_failed() -> DecryptionFailed:
    """Return the one error of every envelope that cannot be opened, whatever the cause."""
    return DecryptionFailed("the ciphertext cannot be decrypted")
