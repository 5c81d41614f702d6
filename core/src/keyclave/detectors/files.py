"""Read small files of the machine, below the root of the `Host`; what cannot be read is not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from keyclave.plugin.records import Host

__all__ = ["dmi", "exists", "names", "text"]

_LONGEST = 4096
_MOST_NAMES = 100
# A named pipe in the place of a file must not block the open.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)


def text(host: Host, path: str) -> str:
    """Return the first 4096 bytes of a regular file as text without white space around it, or an empty one."""
    try:
        descriptor = os.open(host.root / path, _READ)
    except (OSError, ValueError):
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _LONGEST).decode(errors="replace").strip()
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def dmi(host: Host, name: str) -> str:
    """Return what the firmware says about the machine, which any user may read; empty where it says nothing."""
    return text(host, f"sys/class/dmi/id/{name}")


def exists(host: Host, path: str) -> bool:
    """Return whether there is something of that name, without opening it."""
    try:
        return (host.root / path).exists()
    except (OSError, ValueError):
        return False


def names(directory: Path, suffix: str) -> tuple[str, ...]:
    """Return the names of what is in a directory and ends so, in order; no more than a hundred."""
    try:
        return tuple(sorted(entry.name for entry in directory.iterdir() if entry.suffix == suffix)[:_MOST_NAMES])
    except (OSError, ValueError):
        return ()
