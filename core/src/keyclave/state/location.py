"""The file of an SQLite database: created private before SQLite sees it, checked without opening it.

A process that opens and closes the file beside SQLite drops the locks that SQLite holds on it, so an existing file
is only looked at by name.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from keyclave.errors import ConfigurationError
from keyclave.plugin.files import private_directory

__all__ = ["file_identity", "prepare_file"]

_OTHERS = 0o077
_COMPANIONS = ("", "-wal", "-shm", "-journal")


def prepare_file(path: Path) -> None:
    """Create the database file, empty and with mode 0600, or check the one that is there and what belongs to it.

    Raises:
        ConfigurationError: it cannot be created, or something there is a symbolic link, no regular file, has a
            second name, belongs to another user, or lets group or others in.
    """
    private_directory(path.parent)
    try:
        _create(path)
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(f"database {path} cannot be created: {error.strerror}") from None
    for suffix in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            _require_private(path.with_name(path.name + suffix))


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file of this name from any other; ``None`` if it cannot be reached."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _create(path: Path) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(path, flags, 0o600))


def _require_private(path: Path) -> None:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path} is a symbolic link or no regular file")
    if status.st_nlink > 1:
        raise ConfigurationError(f"{path} has a second name (a hard link)")
    if os.name != "posix":
        return
    if status.st_uid != os.geteuid():
        raise ConfigurationError(f"{path} belongs to another user")
    if status.st_mode & _OTHERS:
        raise ConfigurationError(
            f"{path} lets group or others in (mode {stat.S_IMODE(status.st_mode):04o})",
            next_step="Find out who could have read or changed it, then set its mode to 0600.",
        )
