"""Hash a file of any size in bounded memory."""

from __future__ import annotations

from typing import BinaryIO

from cryptography.hazmat.primitives import hashes

from keyclave.crypto.algorithms import hash_of
from keyclave.errors import InvalidArgument

__all__ = ["CHUNK", "digest_stream"]

CHUNK = 1 << 20
"""Bytes that are read at a time."""


def digest_stream(scheme_name: str, source: BinaryIO) -> bytes:
    """Return the digest that a scheme signs, of everything from here to the end of ``source``.

    Args:
        scheme_name: a signature scheme that signs digests.
        source: a blocking binary file, pipe or socket file; it is read to its end and stays open.

    Raises:
        InvalidArgument: the scheme takes the whole message, or the source is not a blocking binary one.
        OSError: the source cannot be read.
    """
    context = hashes.Hash(hash_of(scheme_name))
    while chunk := source.read(CHUNK):
        if not isinstance(chunk, bytes):
            raise InvalidArgument(
                "the source must be opened in binary mode", next_step='Open the file with open(path, "rb").'
            )
        context.update(chunk)
    if chunk is None:
        raise InvalidArgument("the source must be a blocking one")
    return context.finalize()
