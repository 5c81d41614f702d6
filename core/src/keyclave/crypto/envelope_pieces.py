"""Read a binary file in pieces of one size, knowing which is the last, and write whole pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from keyclave.errors import InvalidArgument

__all__ = ["read_piece", "split", "write_all"]


def split(source: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Return an iterator over the pieces of a file, each with whether it is the last one.

    Each piece but the last has ``size`` bytes; an empty file is one empty piece. The first piece is read before
    this returns, each further one before its predecessor is yielded: two are in memory at a time.

    Raises:
        InvalidArgument: the file is not a blocking binary one.
        OSError: it cannot be read.
    """
    return _split(source, size, read_piece(source, size))


def _split(source: BinaryIO, size: int, piece: bytes) -> Iterator[tuple[bytes, bool]]:
    while len(piece) == size:
        following = read_piece(source, size)
        if not following:
            break
        yield piece, False
        piece = following
    yield piece, True


def read_piece(source: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, or what is left where the file ends before.

    Raises:
        InvalidArgument: the file is not a blocking binary one.
        OSError: it cannot be read.
    """
    piece = _read(source, size)
    if len(piece) == size or not piece:
        return piece
    pieces, missing = [piece], size - len(piece)
    while missing and (piece := _read(source, missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _read(source: BinaryIO, size: int) -> bytes:
    piece = source.read(size)
    if not isinstance(piece, bytes):
        raise InvalidArgument("the source must be a blocking file, opened in binary mode")
    return piece


def write_all(target: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of ``data``, also to a raw file or pipe that takes it in parts.

    Raises:
        InvalidArgument: the file does not say how much it took: it is not a blocking binary one.
        OSError: it cannot be written.
    """
    written = 0
    while written < len(data):
        taken = target.write(data[written:] if written else data)
        if not isinstance(taken, int) or taken < 1:
            raise InvalidArgument("the target must be a blocking file, opened in binary mode")
        written += taken
