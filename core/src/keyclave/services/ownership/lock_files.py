"""Which processes of this machine live: each instance holds a lock file of its own, and the lock dies with it.

A process id alone cannot tell: it may be reused, and a process may hold several instances.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from keyclave.plugin.files import private_directory

__all__ = ["LockFiles"]

_NEW_LOCK_SECONDS = 10.0
"""Another process that starts may hold a new lock file for a moment: to it, it looks like that of a dead owner."""
_NAME = re.compile(r"[0-9a-f]{32}")


class LockFiles:
    """The lock file of this instance, and its view of others.

    Args:
        directory: where the lock files are.

    Attributes:
        name: of this instance, and of its file.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)
        self.name = uuid.uuid4().hex
        self._lock = FileLock(self._path(self.name), mode=0o600, thread_local=False)
        self._lock.acquire(timeout=_NEW_LOCK_SECONDS)

    def lives(self, name: str) -> bool | None:
        """Return whether the instance of this name lives; ``None`` where this machine has no lock file of it."""
        if not _NAME.fullmatch(name) or not self._path(name).exists():
            return None
        try:
            with FileLock(self._path(name), mode=0o600, timeout=0):
                return False
        except Timeout:
            return True

    def forget(self, wanted: frozenset[str]) -> None:
        """Remove the lock files of dead instances, but for those of these names."""
        for path in self._directory.glob("*.lock"):
            if path.stem in wanted or path.stem == self.name:
                continue
            try:
                with FileLock(path, mode=0o600, timeout=0):
                    path.unlink(missing_ok=True)
            except Timeout:
                continue

    def close(self) -> None:
        """Let go of the lock."""
        self._lock.release()

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.lock"
