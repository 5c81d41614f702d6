"""Whether a shared library may be loaded as a module: loading it runs its code in this process.

The check is of the real path, so that whoever can change a symbolic link cannot choose the code; of owner and mode of
the file and of every directory above it, so that nobody but its owner and root can have put it there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from keyclave.errors import ConfigurationError

__all__ = ["checked_module"]

_SYSTEM_DIRECTORIES = tuple(
    map(
        Path,
        (
            *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/opt"),
            *("/Library", "/usr/safenet", "C:/Windows/System32", "C:/Program Files"),
        ),
    )
)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def checked_module(path: Path, allowed: tuple[Path, ...]) -> Path:
    """Return the real path of a module that may be loaded.

    Args:
        path: the module, as the settings name it.
        allowed: real paths; empty for what is below a directory of the system.

    Raises:
        ConfigurationError: it is missing, no regular file, not allowed, or somebody else can change it.
    """
    try:
        real = path.resolve(strict=True)
        _require_allowed(real, allowed)
        if not stat.S_ISREG(real.stat().st_mode):
            raise ConfigurationError(f"module {real} is not a regular file")
        for part in (real, *real.parents):
            _require_unchangeable(part)
    except OSError as error:
        reason = error.strerror
    else:
        return real
    raise ConfigurationError(f"module {path} cannot be used: {reason}")


def _require_allowed(real: Path, allowed: tuple[Path, ...]) -> None:
    if real in allowed or (not allowed and any(map(real.is_relative_to, _SYSTEM_DIRECTORIES))):
        return
    raise ConfigurationError(
        f"module {real} is not among those that may be loaded",
        next_step=f"If you trust it, add its real path to allowed_modules: allowed_modules = ['{real}'].",
    )


def _require_unchangeable(part: Path) -> None:
    if os.name != "posix":
        return
    status = part.stat()
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(f"{part} belongs to another user, who could change the module")
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _OTHERS_WRITE and not sticky:
        raise ConfigurationError(
            f"group or others can write to {part} (mode {stat.S_IMODE(status.st_mode):04o}), and change the module",
            next_step="Find out who could have changed it, then take the permission away.",
        )
