"""Backends that go wrong in an order of calls, after many calls, or at the end."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from keyclave.errors import KeyNotFound
from keyclave.plugin import (
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    KeyLabel,
    KeyReference,
    Signed,
    hookimpl,
)
from keyclave_software.keystore import key_name

from tests.zoo.fault import fault, pkcs11_fault
from tests.zoo.pkcs11 import ZooPkcs11
from tests.zoo.software import ZooSoftware


@fault({118: "after 30 uses a key is slower"})
class SessionsAreNeverClosed(ZooSoftware):
    """Opens a session for each signature, and the device looks through all of them."""

    sessions = 0

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self.sessions += 1
        time.sleep(0.008 * self.sessions)
        return super().sign(key, data, scheme)


@fault({118: "more open files"})
class ConnectionsStayOpen(ZooSoftware):
    """Connects to a daemon for each signature, and keeps the connection."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connections: list[socket.socket] = []

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self.connections += socket.socketpair()
        return super().sign(key, data, scheme)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        super().close()


@fault({118: "more threads"})
class ThreadsKeepWaiting(ZooSoftware):
    """Starts a thread for each search that renews the session, until it is closed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.closed = threading.Event()

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        threading.Thread(target=self.closed.wait, daemon=True).start()
        return super().find_key(label)

    def close(self) -> None:
        self.closed.set()
        super().close()


@fault({118: "more objects in memory"})
class FailuresAreKept(ZooSoftware):
    """Keeps each error with all that hangs on it, for a report that nobody asks for."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.errors: list[KeyNotFound] = []

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        try:
            return super().find_key(label)
        except KeyNotFound as error:
            self.errors.append(error)
            raise


@pkcs11_fault({118: "more bytes in native code"})
class ASessionForEachSignature(ZooPkcs11):
    """Opens a session for each signature, and leaves it to the token to close it."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self._pool.run(lambda session: session.connection.open_session())
        return super().sign(key, data, scheme)


@fault({119: "1 keys are still found after they were destroyed"})
class DisabledKeysAreNotDestroyed(ZooSoftware):
    """Says that a disabled key is destroyed, and leaves it."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        name = key_name(str(key.label))
        if self._keystore.has(name) and not self._keystore.read(name).header.enabled:
            return DestroyResult(state=DestroyState.DESTROYED)
        return super().destroy_key(key)


@fault({120: "a key that should be disabled was used"})
class CreatingAgainEnables(ZooSoftware):
    """Enables a disabled key when it is asked for again."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(request)
        super().enable_key(made.reference)
        return made


@fault({120: "a key that should be disabled was used|should be enabled was refused"})
class RotationEnablesOldVersions(ZooSoftware):
    """Sets all versions of a key to be usable when there is a new one."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        for key in super().list_keys(None).keys:
            if key.label.key_id == request.label.key_id:
                super().enable_key(key)
        return super().create_key(request)


@fault({120: "a key that should be enabled was"})
class DisablingIsCounted(ZooSoftware):
    """Counts how often a key was disabled, and wants it to be enabled as often."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.count: dict[KeyLabel, int] = {}

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        self.count[key.label] = self.count.get(key.label, 0) + 1
        super().disable_key(key)

    @hookimpl
    def enable_key(self, key: KeyReference) -> None:
        self.count[key.label] = max(0, self.count.get(key.label, 0) - 1)
        if not self.count[key.label]:
            super().enable_key(key)
