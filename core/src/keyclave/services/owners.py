"""Who works on an intent: a lock file that a living process holds, and that dies with it.

Recovery must take over from a killed process at once, and must never undo what a living one is doing. A process
id alone can tell neither: it may be reused, and a process may hold several instances.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from keyclave.plugin.files import private_directory
from keyclave.state.records import StoredIntent

__all__ = ["OWNER", "Owner"]

OWNER = "owner"
"""The parameter of an intent that names its owner."""

_ABANDONED_AFTER = timedelta(minutes=10)
"""Longer than any deadline: an owner whose lock file is not on this machine and is silent for so long is gone."""
_NEW_LOCK_SECONDS = 10.0
"""Another process that starts may hold a new lock file for a moment: to it, it looks like that of a dead owner."""
_NAME = re.compile(r"[0-9a-f]{32}")


class Owner:
    """This instance as an owner of intents, and its view of other owners."""

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)
        self.name = uuid.uuid4().hex
        self._lock = FileLock(self._path(self.name), mode=0o600, thread_local=False)
        self._lock.acquire(timeout=_NEW_LOCK_SECONDS)
        self._working: set[uuid.UUID] = set()

    @contextmanager
    def working(self, operation_id: uuid.UUID) -> Iterator[None]:
        """Say that this process works on the operation while the body runs."""
        self._working.add(operation_id)
        try:
            yield
        finally:
            self._working.discard(operation_id)

    def is_abandoned(self, intent: StoredIntent) -> bool:
        """Return whether nobody works on the intent any more."""
        name = intent.parameters.get(OWNER, "")
        if name == self.name:
            return intent.operation_id not in self._working
        if not _NAME.fullmatch(name) or not self._path(name).exists():
            return datetime.now(UTC) - intent.updated_at > _ABANDONED_AFTER
        try:
            with FileLock(self._path(name), mode=0o600, timeout=0):
                return True
        except Timeout:
            return False

    def forget(self, living: frozenset[str]) -> None:
        """Remove the lock files of dead owners that no open intent names."""
        for path in self._directory.glob("*.lock"):
            if path.stem in living or path.stem == self.name:
                continue
            try:
                with FileLock(path, mode=0o600, timeout=0):
                    path.unlink(missing_ok=True)
            except Timeout:
                continue

    def close(self) -> None:
        """Let go: intents that are still open are from now on anybody's to recover."""
        self._lock.release()

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.lock"
