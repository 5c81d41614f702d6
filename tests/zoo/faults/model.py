"""Backends that go wrong in an order of calls, after many calls, or at the end."""

from __future__ import annotations

import time
from typing import Any

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

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({118: "after 30 uses a key is slower"})
class SessionsAreNeverClosed(ZooSoftware):
    """Opens a session for each signature, and the device looks through all of them."""

    sessions = 0

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self.sessions += 1
        time.sleep(0.005 * self.sessions)
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
