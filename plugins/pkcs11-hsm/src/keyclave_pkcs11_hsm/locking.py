"""A lock that threads and processes share, so that two that make the key of one label make one key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout
from keyclave.errors import BackendUnavailable
from keyclave.plugin.files import private_directory

__all__ = ["TokenLock"]

_SECONDS = 20.0  # an RSA key of 4096 bits takes some seconds, in the token of another process too


class TokenLock:
    """The lock of one backend, a file in its directory. A process that ends, however it does, lets go of it."""

    def __init__(self, directory: Path) -> None:
        self._path = private_directory(directory) / "token.lock"
        self._threads = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            BackendUnavailable: another thread or process holds it for too long.
        """
        # Threads wait in line here; the lock of the file, for which one can only ask again and again, is for others.
        if not self._threads.acquire(timeout=_SECONDS):
            raise _too_long()
        try:
            lock = FileLock(self._path, timeout=_SECONDS, mode=0o600)
            if not _is_acquired(lock):
                raise _too_long()
            try:
                yield
            finally:
                lock.release()
        finally:
            self._threads.release()


def _is_acquired(lock: BaseFileLock) -> bool:
    try:
        lock.acquire()
    except (Timeout, OSError):
        return False
    return True


def _too_long() -> BackendUnavailable:
    return BackendUnavailable(
        "keys of the token are being changed by another thread or process for too long",
        next_step="See with `keyclave recover --list` which process is at work; end it if it hangs.",
    )
