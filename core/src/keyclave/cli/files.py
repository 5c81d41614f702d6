"""Files that commands read and write. A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from keyclave.cli.output import is_terminal
from keyclave.errors import InvalidArgument, KeyclaveError

__all__ = ["read_small", "source", "target"]

_IN_MEMORY = 16 * 1024 * 1024
_PROCESS_FILES = "/proc/self/fd"
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def source(name: str) -> Iterator[BinaryIO]:
    """Open a file to read; ``-`` is standard input.

    Raises:
        InvalidArgument: it cannot be opened.
    """
    if name == "-":
        yield _standard_input()
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  closed below; the body's own errors must not be caught here
    except OSError as error:
        raise InvalidArgument(
            f"{name} cannot be read: {error.strerror}",
            next_step="Name a file that can be read, or - for standard input.",
        ) from None
    with file:
        yield file


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise InvalidArgument("standard input is closed", next_step="Name a file instead of -.")
    return sys.stdin.buffer


def read_small(name: str, *, what: str, limit: int) -> bytes:
    """Return the content of a file of at most ``limit`` bytes; ``-`` is standard input.

    Raises:
        InvalidArgument: it cannot be read, or is longer.
    """
    with source(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InvalidArgument(f"{what} in {name} is longer than {limit} bytes")
    return content


@contextmanager
def target(name: str | None, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Give a file to write into; it appears under its name, or on standard output, when the body succeeds.

    Args:
        name: the file, replaced if it exists. ``-`` is standard output, and so is ``None``, but not on a terminal.
        mode: the mode of the file.

    Raises:
        InvalidArgument: nothing can be written there.
    """
    if name is None and is_terminal():
        raise InvalidArgument(
            "the result is not text", next_step="Name a file with -o, or send standard output somewhere."
        )
    if name is None or name == "-":
        with _standard_output() as file:
            yield file
    else:
        with _replacement(_writable(name), mode) as file:
            yield file


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Keep what is written until the body succeeds: an unfinished result is not to be used."""
    if sys.stdout is None:
        raise KeyclaveError("standard output is closed", next_step="Name a file with -o.")
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        yield cast("BinaryIO", spool)
        spool.seek(0)
        shutil.copyfileobj(spool, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _writable(name: str) -> Path:
    path = Path(os.path.realpath(name))
    try:
        there = path.stat()
    except FileNotFoundError:
        return path
    except OSError as error:
        reason = error.strerror
    else:
        if stat.S_ISREG(there.st_mode):
            return path
        reason = "not a regular file"
    raise InvalidArgument(
        f"{name} cannot be written: {reason}", next_step="Name a regular file, or - for standard output."
    )


@contextmanager
def _replacement(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Write beside ``path``, and take its name at the end."""
    temporary = path.with_name(f".keyclave-{secrets.token_hex(8)}.tmp")
    nameless = _open_nameless(path.parent, mode)
    descriptor = _open_named(temporary, mode) if nameless is None else nameless
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
            if nameless is not None:
                _name(descriptor, temporary)
        temporary.replace(path)
    except OSError as error:
        if error.errno in _NO_SPACE and error.filename is None:
            error.filename = str(path)  # what writes into an open file does not know its name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _open_nameless(directory: Path, mode: int) -> int | None:
    """Open a file that has no name yet, so that nothing of it remains if the process is killed (Linux)."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not Path(_PROCESS_FILES).is_dir():
        return None
    try:
        return os.open(directory, flag | os.O_WRONLY, mode)
    except OSError:
        return None  # not every file system can; what else is wrong is found when a named one is opened


def _open_named(path: Path, mode: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags, mode)
    except OSError as error:
        reason = error.strerror
    raise InvalidArgument(f"no file can be written in {path.parent}: {reason}")


def _name(descriptor: int, path: Path) -> None:
    # With a directory descriptor Python calls linkat(2), which follows the link in /proc to the file.
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.link(f"{_PROCESS_FILES}/{descriptor}", path.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)
