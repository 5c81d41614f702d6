"""A lock that threads and processes share, so that two that make the key of one label make one key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from keyclave.errors import BackendUnavailable
from keyclave.plugin.files import private_directory

__all__ = ["TokenLock"]

_SECONDS = 20.0  # an RSA key of 4096 bits takes some seconds, in the token of another process too


class TokenLock:
    """The lock of one backend, a file in its directory. A process that ends, however it does, lets go of it."""

    def __init__(self, directory: Path) -> None:
        self._path = private_directory(directory) / "token.lock"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            BackendUnavailable: another thread or process holds it for too long.
        """
        lock = FileLock(self._path, timeout=_SECONDS, mode=0o600)  # one of its own: it is counted for each thread
        try:
            lock.acquire()
        except (Timeout, OSError):
            problem = True
        else:
            problem = False
        if problem:
            raise BackendUnavailable("keys of the token are being changed by another process for too long")
        try:
            yield
        finally:
            lock.release()
