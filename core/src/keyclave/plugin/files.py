"""Files that only their owner may read, written so that a crash leaves the old content or the new one.

A write goes to a temporary file beside the target, whose name starts with a dot and ends with ``.tmp``, is flushed,
and takes the target's name in one step; the directory is flushed after that. A process killed in between may leave
the temporary file: nothing reads it, and `remove_private` of the target removes it as well.

Windows has no file modes, no ``O_NOFOLLOW`` and cannot flush a directory. There the functions check what remains
(a regular file of bounded size with one name), and the access list that a file inherits from the user's profile
keeps others out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from keyclave.errors import ConfigurationError

__all__ = ["create_private", "private_directory", "read_private", "remove_private", "replace_private"]

_POSIX = os.name == "posix"
_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o600
_OTHERS = 0o077
_BINARY = getattr(os, "O_BINARY", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# A named pipe in the place of a file must not block the open.
_READ = os.O_RDONLY | _BINARY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_FOLLOW
_SYMLINK_ERRORS = frozenset({errno.ELOOP, errno.EMLINK})


def private_directory(path: str | os.PathLike[str]) -> Path:
    """Return the directory, created with mode 0700 if it is missing, together with its missing parents.

    Raises:
        ConfigurationError: it cannot be created, is a symbolic link or no directory, belongs to another user, or
            lets group or others in.
    """
    directory = Path(path)
    try:
        _make_directories(directory)
        status = directory.lstat()
    except OSError as error:
        raise ConfigurationError(f"directory {directory} cannot be used: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"{directory} is a symbolic link or no directory")
    _require_ours(directory, status, "0700")
    return directory


def read_private(path: str | os.PathLike[str], *, limit: int) -> bytes:
    """Return the content of a file that nobody else can read or change.

    Args:
        path: the file. The last part is not followed if it is a symbolic link.
        limit: the most bytes that the file may have.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is a symbolic link or no regular file, belongs to another user, lets group or others
            in, has a second name, or is longer than ``limit``.
        OSError: it cannot be read.
    """
    target = Path(path)
    try:
        descriptor = os.open(target, _READ)
    except OSError as error:
        if error.errno in _SYMLINK_ERRORS:
            raise ConfigurationError(f"{target} is a symbolic link") from None
        raise
    try:
        _require_private(target, descriptor)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) <= limit:
        return content
    del content  # it could be a secret, and a traceback can show local variables
    raise ConfigurationError(f"{target} is longer than {limit} bytes")


def create_private(path: str | os.PathLike[str], data: bytes) -> None:
    """Create a file of mode 0600 with this content, and return once it is durable.

    Of several processes that create the same file one succeeds; the others find its content complete and durable.

    Raises:
        FileExistsError: a file of that name is there. It was not touched.
        OSError: it cannot be written; there is no file of that name.
    """
    target = Path(path)
    with _flushed_directory(target.parent) as flush, _temporary(target, data) as temporary:
        try:
            os.link(temporary, target, follow_symlinks=False)
        except FileExistsError:
            flush()  # what another process just created is durable when this call says that it exists
            raise
        flush()


def replace_private(
    path: str | os.PathLike[str], data: bytes, *, check: Callable[[bytes], object] | None = None
) -> None:
    """Give a file this content, whether it exists or not, and return once that is durable.

    Args:
        path: the file. It keeps its old content until the new one was written and read back.
        data: the new content.
        check: called with what was read back; what it raises leaves the old content in place.

    Raises:
        OSError: the file cannot be written. It has its old content, or the new one if only the last step, making
            the change of name durable, failed.
    """
    target = Path(path)
    with _flushed_directory(target.parent) as flush, _temporary(target, data) as temporary:
        if check is not None:
            check(temporary.read_bytes())
        temporary.replace(target)
        flush()


def remove_private(path: str | os.PathLike[str]) -> None:
    """Remove a file and what interrupted writes of it left, and return once that is durable.

    A file that is not there is fine.

    Raises:
        OSError: it cannot be removed.
    """
    target = Path(path)
    if not target.parent.exists():
        return
    with _flushed_directory(target.parent) as flush:
        target.unlink(missing_ok=True)
        for leftover in _temporaries_of(target):
            leftover.unlink(missing_ok=True)
        flush()


def _make_directories(directory: Path) -> None:
    if directory.is_symlink() or directory.exists():
        return
    _make_directories(directory.parent)
    with _flushed_directory(directory.parent) as flush:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(_DIRECTORY_MODE)
        flush()


@contextlib.contextmanager
def _flushed_directory(directory: Path) -> Iterator[Callable[[], None]]:
    """Open the directory before anything changes in it; the function given makes the changes durable."""
    if not _POSIX:
        yield lambda: None
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield lambda: os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary(target: Path, data: bytes) -> Iterator[Path]:
    """Write a temporary file beside the target and flush it; remove it at the end if it still has that name."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, _CREATE, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if temporary.read_bytes() != data:
            raise OSError(errno.EIO, "what was written reads back differently", str(target))
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _temporaries_of(target: Path) -> Iterator[Path]:
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}\.tmp")
    return (entry for entry in target.parent.iterdir() if name.fullmatch(entry.name))


def _require_private(target: Path, descriptor: int) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{target} is not a regular file")
    _require_ours(target, status, "0600")
    if status.st_nlink > 1:
        status = _finish_creation(target, descriptor, status)
    if status.st_nlink > 1:
        raise ConfigurationError(f"{target} has a second name (a hard link)")


def _finish_creation(target: Path, descriptor: int, status: os.stat_result) -> os.stat_result:
    """Remove the second name that `create_private` gives a file for a moment, or for good if it is killed there."""
    for temporary in _temporaries_of(target):
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(temporary.lstat(), status):
                temporary.unlink()
    return os.fstat(descriptor)


def _require_ours(target: Path, status: os.stat_result, mode: str) -> None:
    if not _POSIX:
        return
    if status.st_uid != os.geteuid():
        raise ConfigurationError(f"{target} belongs to another user")
    if status.st_mode & _OTHERS:
        raise ConfigurationError(
            f"{target.absolute()} lets group or others in (mode {stat.S_IMODE(status.st_mode):04o})",
            next_step=f"Find out who could have read or changed it, then set its mode to {mode}.",
        )
