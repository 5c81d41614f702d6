"""Encrypt messages of any size under a key that only wraps small data keys: a streaming, committing envelope.

It is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance, CRYPTO 2015) in the form of Tink's AES-GCM-HKDF streaming AEAD, with a data key of
its own for each message and a commitment as in the AWS Encryption SDK's suites with key commitment:

- 32 random bytes, the data key, are wrapped by the key in its backend, which binds the header's beginning to them.
- HKDF-SHA256 (RFC 5869) of the data key, with a random salt of 32 bytes and with ``header || associated data`` as
  info, gives the segment key (32 bytes) and the commitment (32 bytes). The header is self-delimiting, so the two
  cannot be shifted against each other. The commitment stands in the header and is compared before anything else:
  AES-GCM alone lets one ciphertext be made that two keys open.
- Plaintext is cut into segments of 1 MiB, the last one shorter. Each is sealed with AES-256-GCM (NIST SP 800-38D)
  under the nonce ``prefix (7) || counter (4) || last (1)`` without further associated data. So segments cannot be
  changed, left out, repeated, swapped, appended, or moved to another message.

`keyclave.crypto.envelope_header` draws the header. Associated data of ``None`` is empty associated data.
Whatever is wrong with an envelope, and whatever the backend says of its data key, the error is one
``DecryptionFailed``; only data that does not begin with the magic at all is refused with ``InvalidArgument``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO
from uuid import UUID

from keyclave.crypto.envelope_header import MAXIMUM_HEADER_SIZE, EnvelopeHeader, read_header
from keyclave.crypto.envelope_keys import UnwrapDataKey, WrapDataKey, begin, resume, view
from keyclave.crypto.envelope_pieces import split, write_all
from keyclave.crypto.envelope_segments import SEGMENT_SIZE, TAG_SIZE, open_into, segment_nonce

__all__ = [
    "EnvelopeHeader",
    "UnwrapDataKey",
    "WrapDataKey",
    "decrypt_bytes",
    "decrypt_stream",
    "encrypt_bytes",
    "encrypt_stream",
    "parse_header",
    "read_header",
]

_SEALED_SIZE = SEGMENT_SIZE + TAG_SIZE


def encrypt_stream(
    source: BinaryIO,
    target: BinaryIO,
    *,
    key_id: UUID,
    version: int,
    wrap_data_key: WrapDataKey,
    aad: bytes | None = None,
) -> None:
    """Encrypt what a binary file holds, from its position to its end, into another. About 4 MiB of memory are used.

    Args:
        source: a blocking binary file or pipe; it stays open.
        target: a blocking binary file or pipe; it stays open and is not flushed.
        key_id: the key that wraps the data key.
        version: its version, 1 to 4294967295.
        wrap_data_key: wraps the data key; it is called once, and what it raises is passed on.
        aad: associated data, of any size: needed again to decrypt, and not part of the envelope.

    Raises:
        InvalidArgument: an argument cannot be right, or the message is longer than 4 PiB.
        BackendError: the backend returned no wrapped key that an envelope can hold.
        OSError: a file cannot be read or written.
    """
    pieces = split(source, SEGMENT_SIZE)
    header, prefix, cipher = begin(key_id, version, wrap_data_key, aad)
    write_all(target, header)
    for piece, nonce, buffer in _segments(pieces, prefix, TAG_SIZE):
        cipher.encrypt_into(nonce, piece, None, buffer)
        write_all(target, buffer)


def decrypt_stream(
    source: BinaryIO,
    target: BinaryIO,
    header: EnvelopeHeader,
    *,
    unwrap_data_key: UnwrapDataKey,
    aad: bytes | None = None,
) -> None:
    """Decrypt what a binary file holds behind its header into another. About 4 MiB of memory are used.

    Each segment is authentic when it is written, but the target is complete only when this returns: when it
    raises, throw away what the target holds. Write to a temporary file, and rename it afterwards.

    Args:
        source: the file that ``read_header`` read the header from; it stays open.
        target: a blocking binary file or pipe; it stays open and is not flushed.
        header: what ``read_header`` returned.
        unwrap_data_key: unwraps the data key; it is called once. Its ``DecryptionFailed`` and ``InvalidArgument``
            become the one ``DecryptionFailed``; what else it raises is passed on.
        aad: the associated data given to encrypt.

    Raises:
        DecryptionFailed: envelope, key and associated data do not belong together; one error for every cause.
        InvalidArgument: an argument cannot be right.
        OSError: a file cannot be read or written.
    """
    pieces = split(source, _SEALED_SIZE)
    cipher = resume(header, unwrap_data_key, aad)
    for piece, nonce, buffer in _segments(pieces, header.nonce_prefix, -TAG_SIZE):
        open_into(cipher, nonce, piece, buffer)
        write_all(target, buffer)


def encrypt_bytes(
    plaintext: bytes,
    *,
    key_id: UUID,
    version: int,
    wrap_data_key: WrapDataKey,
    aad: bytes | None = None,
) -> bytes:
    """Return the envelope of a message in memory, byte for byte what ``encrypt_stream`` makes.

    Arguments and errors are those of ``encrypt_stream``; ``plaintext`` is bytes-like.
    """
    message = view(plaintext, "plaintext")
    header, prefix, cipher = begin(key_id, version, wrap_data_key, aad)
    count = max(1, -(-len(message) // SEGMENT_SIZE))
    envelope, at = _reserve(len(header) + len(message) + count * TAG_SIZE), len(header)
    with envelope.getbuffer() as whole:
        whole[:at] = header
        for index in range(count):
            piece = message[index * SEGMENT_SIZE : (index + 1) * SEGMENT_SIZE]
            nonce = segment_nonce(prefix, index, last=index == count - 1)
            with whole[at : at + len(piece) + TAG_SIZE] as part:
                at += cipher.encrypt_into(nonce, piece, None, part)
    return envelope.getvalue()


def decrypt_bytes(
    ciphertext: bytes,
    header: EnvelopeHeader,
    *,
    unwrap_data_key: UnwrapDataKey,
    aad: bytes | None = None,
) -> bytes:
    """Return the message of an envelope in memory, all of it or nothing.

    Arguments and errors are those of ``decrypt_stream``; ``ciphertext`` is bytes-like, header included, and
    ``header`` what ``parse_header`` returned for it.
    """
    sealed = view(ciphertext, "ciphertext")[header.size :]
    cipher = resume(header, unwrap_data_key, aad)
    count = max(1, -(-len(sealed) // _SEALED_SIZE))
    message, at = _reserve(max(0, len(sealed) - count * TAG_SIZE)), 0
    with message.getbuffer() as whole:
        for index in range(count):
            piece = sealed[index * _SEALED_SIZE : (index + 1) * _SEALED_SIZE]
            nonce = segment_nonce(header.nonce_prefix, index, last=index == count - 1)
            end = at + max(0, len(piece) - TAG_SIZE)
            with whole[at:end] as part:  # the traceback of a refusal must not keep the buffer in use
                open_into(cipher, nonce, piece, part)
            at = end
    return message.getvalue()


def parse_header(ciphertext: bytes) -> EnvelopeHeader:
    """Return the header of an envelope in memory; errors are those of ``read_header``."""
    return read_header(io.BytesIO(view(ciphertext, "ciphertext")[:MAXIMUM_HEADER_SIZE]))


def _segments(
    pieces: Iterator[tuple[bytes, bool]], prefix: bytes, growth: int
) -> Iterator[tuple[bytes, bytes, memoryview]]:
    """Yield each piece with its nonce and a buffer for its result, one buffer for all."""
    buffer = None
    for counter, (piece, last) in enumerate(pieces):
        size = max(0, len(piece) + growth)
        if buffer is None:
            buffer = memoryview(bytearray(size))
        yield piece, segment_nonce(prefix, counter, last=last), buffer[:size]


def _reserve(size: int) -> io.BytesIO:
    """Return a file of ``size`` bytes: CPython fills it through its buffer and hands it out without a copy."""
    return io.BytesIO(bytes(size))
