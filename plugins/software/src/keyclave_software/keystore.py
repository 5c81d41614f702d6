"""A directory of key files, one for each key version, named by the hash of its label."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import nsmallest
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout
from keyclave.errors import BackendUnavailable, IntegrityError, KeyNotFound
from msgspec.structs import replace
from pydantic import SecretBytes

from keyclave_software.limits import FILE_BYTES
from keyclave_software.master_key import MasterKey
from keyclave_software.sealed import SealedKey, open_sealed, seal
from keyclave_software.storage import list_names, load, remove, store, store_new

__all__ = ["Keystore", "has_keys", "key_name"]

_SUFFIX = ".key"
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.key")
_LEFTOVER_NAME = re.compile(r"\.[0-9a-f]{32}\.key\.[0-9a-f]{16}\.tmp")
_LOCK_SECONDS = 10.0


def key_name(label: str) -> str:
    """Return the name of the key with this label: the first 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(label.encode()).hexdigest()[:32]


def has_keys(directory: Path) -> bool:
    """Return whether the directory holds a key file."""
    return any(map(_FILE_NAME.fullmatch, list_names(directory)))


class Keystore:
    """Reads and writes the key files of one directory.

    Changes are made under a lock that processes share, so that a key that one of them destroys is not written
    back by another that changes it at the same moment.
    """

    def __init__(self, directory: Path, master: MasterKey) -> None:
        self._directory = directory
        self._master = master

    def path(self, name: str) -> Path:
        """Return the file of a key."""
        return self._directory / (name + _SUFFIX)

    def has(self, name: str) -> bool:
        """Return whether there is a file for a key of this name."""
        return self.path(name).exists()

    def read(self, name: str) -> SealedKey:
        """Return a key.

        Raises:
            KeyNotFound: there is none of that name.
            IntegrityError: its file was changed, or is the file of another key.
            ConfigurationError: its file is not private.
            BackendUnavailable: its file cannot be read.
        """
        content = load(self.path(name), FILE_BYTES)
        if content is None:
            raise KeyNotFound(f"the keystore has no key {name}")
        return self._open(name, content.get_secret_value())

    def add(self, key: SealedKey) -> bool:
        """Write a new key durably; return ``False``, and change nothing, if its label is taken."""
        with self._locked():
            return store_new(self.path(key_name(key.header.label)), self._sealed(key))

    def set_enabled(self, name: str, *, enabled: bool) -> None:
        """Let a key be used, or refuse it."""
        with self._locked():
            key = self.read(name)
            if key.header.enabled != enabled:
                changed = key._replace(header=replace(key.header, enabled=enabled))
                store(self.path(name), self._sealed(changed), lambda content: self._open(name, content))

    def remove(self, name: str) -> None:
        """Remove a key, and every trace that interrupted writes of it left."""
        with self._locked():
            remove(self.path(name))

    def remove_leftovers(self) -> None:
        """Remove what interrupted writes left beside the keys. Only who holds the lock writes, so it is nobody's."""
        if any(map(_LEFTOVER_NAME.fullmatch, list_names(self._directory))):
            with self._locked():
                for name in filter(_LEFTOVER_NAME.fullmatch, list_names(self._directory)):
                    remove(self._directory / name)

    def names(self, after: str, limit: int) -> list[str]:
        """Return the first ``limit`` names after ``after``, in ascending order."""
        files = filter(_FILE_NAME.fullmatch, list_names(self._directory))
        return nsmallest(limit, (name for file in files if (name := file.removesuffix(_SUFFIX)) > after))

    def _open(self, name: str, content: bytes) -> SealedKey:
        key = open_sealed(content, self._master)
        if key_name(key.header.label) != name:
            raise IntegrityError(f"the file {name}{_SUFFIX} holds another key")
        return key

    def _sealed(self, key: SealedKey) -> SecretBytes:
        return SecretBytes(seal(key, self._master))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A lock of its own for each change: one that a forked process inherits cannot be used there.
        lock = FileLock(self._directory / "keystore.lock", timeout=_LOCK_SECONDS, mode=0o600)
        if not _is_acquired(lock):
            raise BackendUnavailable("the keystore is locked by another process, or its lock cannot be opened")
        try:
            yield
        finally:
            lock.release()


def _is_acquired(lock: BaseFileLock) -> bool:
    try:
        lock.acquire()
    except (Timeout, OSError):
        return False
    return True
