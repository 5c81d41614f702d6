"""Keys that were read from their files, ready to be used again: loading costs up to the price of a signature.

A change by this process counts at once, one by another process within a second: after that long the file is looked
at again.
"""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.errors import InvalidArgument
from keyclave.models import get_algorithm
from keyclave.plugin import KeyReference

from keyclave_software.keystore import Keystore, key_name
from keyclave_software.material import load_private_key, public_key
from keyclave_software.sealed import KeyHeader, SealedKey
from keyclave_software.signers import Sign, signers

__all__ = ["LoadedKey", "LoadedKeys", "name_of", "uri_of"]

_PREFIX = "software:"
_SECONDS = 1.0
_LIMIT = 10_000

_Stamp = tuple[int, int, int] | None
"""What changes when a file is replaced; ``None`` for one that is not there."""


def uri_of(label: str) -> str:
    """Return the address of the key with this label."""
    return _PREFIX + key_name(label)


def name_of(reference: KeyReference) -> str:
    """Return the name of a key in the keystore; raise ``InvalidArgument`` for a reference that is not ours."""
    label = str(reference.label)
    if reference.uri != uri_of(label):
        raise InvalidArgument("the uri of the key does not belong to its label")
    return key_name(label)


class LoadedKey:
    """A key in memory.

    Attributes:
        header: what its file says.
        public_key: DER SubjectPublicKeyInfo; ``None`` for an AES key.
        signers: a function for each scheme; none for an AES key, and none while the key is disabled.
        cipher: AES-256-GCM under an AES key; ``None`` for others, and while the key is disabled.
        valid_until: the monotonic time after which the file is looked at again.
    """

    __slots__ = ("cipher", "header", "public_key", "signers", "stamp", "valid_until")

    def __init__(self, key: SealedKey, stamp: _Stamp) -> None:
        self.header: KeyHeader = key.header
        self.stamp = stamp
        self.valid_until = monotonic() + _SECONDS
        self.public_key: bytes | None = None
        self.signers: dict[str, Sign] = {}
        self.cipher: AESGCM | None = None
        algorithm = get_algorithm(key.header.algorithm)
        if algorithm.signs:
            private_key = load_private_key(key.secret)
            self.public_key = public_key(private_key)
            if key.header.enabled:
                self.signers = signers(private_key, algorithm)
        elif key.header.enabled:
            self.cipher = AESGCM(key.secret.get_secret_value())


class LoadedKeys:
    """The keys in memory.

    Attributes:
        in_memory: by their address; each to be used until its ``valid_until``.
    """

    def __init__(self, keystore: Keystore) -> None:
        self._keystore = keystore
        self.in_memory: dict[str, LoadedKey] = {}
        self._lock = threading.Lock()
        self._changes = 0

    def get(self, reference: KeyReference) -> LoadedKey:
        """Return a key, from memory or from its file.

        Raises:
            KeyNotFound: it does not exist.
            InvalidArgument: the reference does not belong to it.
            IntegrityError, ConfigurationError, BackendUnavailable: its file cannot be used.
        """
        loaded = self.in_memory.get(reference.uri)
        if loaded is not None and monotonic() < loaded.valid_until:
            return loaded
        return self._refresh(reference, loaded)

    def forget(self, reference: KeyReference) -> None:
        """Read the key again when it is next used: this process changed its file."""
        with self._lock:
            self._changes += 1
            self.in_memory.pop(reference.uri, None)

    def clear(self) -> None:
        """Forget all keys."""
        with self._lock:
            self._changes += 1
            self.in_memory.clear()

    def _refresh(self, reference: KeyReference, loaded: LoadedKey | None) -> LoadedKey:
        name = name_of(reference)
        # Before the file is read: if it is replaced in between, the stamp is that of the old one.
        stamp, changes = _stamp(self._keystore.path(name)), self._changes
        if loaded is not None and stamp is not None and stamp == loaded.stamp:
            loaded.valid_until = monotonic() + _SECONDS
            return loaded
        self.in_memory.pop(reference.uri, None)
        fresh = LoadedKey(self._keystore.read(name), stamp)
        if fresh.header.algorithm != reference.algorithm:
            raise InvalidArgument(f"the key is of algorithm {fresh.header.algorithm}, not {reference.algorithm}")
        with self._lock:
            if changes == self._changes:
                if len(self.in_memory) >= _LIMIT:
                    self.in_memory.clear()
                self.in_memory[reference.uri] = fresh
        return fresh


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
