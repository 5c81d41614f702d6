"""Backends that destroy keys at another time than they say, or do not call that off as they should."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from keyclave.errors import Conflict
from keyclave.plugin import CreateKeyRequest, DestroyResult, DestroyState, KeyReference, hookimpl
from msgspec import structs

from tests.zoo.delayed import ZooDelayed
from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({17: "has a date"})
class DestroyedInAWeek(ZooSoftware):
    """Says that the key is destroyed, and when it will be."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        return structs.replace(super().destroy_key(key), scheduled_for=datetime.now(UTC) + timedelta(days=7))


@fault({17: "in the past"})
class ScheduledForThePast(ZooSoftware):
    """Says that the key was to be destroyed yesterday."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        super().destroy_key(key)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        return DestroyResult(state=DestroyState.SCHEDULED, scheduled_for=yesterday)


@fault({20: "scheduled to be destroyed succeeded"})
class ScheduledKeysWork(ZooDelayed):
    """Lets a key be used until its last day."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        result = super().destroy_key(key)
        super().enable_key(key)
        return result


@fault({20: "moved the date"})
class EachDestructionMovesTheDate(ZooDelayed):
    """Begins the week anew."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        self.dates.pop(key.label, None)
        return super().destroy_key(key)


@fault({133: "with a key whose destruction was called off succeeded"})
class CancelledKeysWorkAtOnce(ZooDelayed):
    """Lets a key be used as soon as its destruction is called off."""

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        super().cancel_destruction(key)
        super().enable_key(key)


@fault({133: "called off is not found"})
class CancelledKeysStayAway(ZooDelayed):
    """Says that the destruction is called off, and keeps the date."""

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        """Do nothing."""


@fault({133: "called off is listed 0 times"})
class CancelledKeysAreNotListed(ZooDelayed):
    """Lists from what was there before the destruction was called off."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.cancelled: set[str] = set()

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        super().cancel_destruction(key)
        self.cancelled.add(key.uri)

    @hookimpl
    def list_keys(self, page: str | None) -> Any:
        listed = super().list_keys(page)
        return structs.replace(listed, keys=tuple(key for key in listed.keys if key.uri not in self.cancelled))


@fault({133: "signature"})
class CancelledKeysAreMadeAnew(ZooDelayed):
    """Destroys at once, and makes another key when that is called off."""

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        if key.label in self.dates:
            ZooSoftware.destroy_key(self, key)
            super().create_key(CreateKeyRequest(label=key.label, algorithm=key.algorithm, exportable=False))
            super().disable_key(key)
        super().cancel_destruction(key)


@fault({133: "raised Conflict"})
class SecondCancellationIsRefused(ZooDelayed):
    """Takes it amiss that nothing is scheduled."""

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        if key.label not in self.dates:
            raise Conflict("no destruction of this key is scheduled", retryable=False)
        super().cancel_destruction(key)


@fault({133: "KeyDisabled"})
class CancellationDisablesAKeyThatWorks(ZooDelayed):
    """Disables the key, whether a destruction was scheduled or not."""

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        super().cancel_destruction(key)
        super().disable_key(key)


@fault({133: "never made succeeded"})
class CancellationOfNoKeySucceeds(ZooDelayed):
    """Removes the date of a key, and does not look for the key."""

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        self.dates.pop(key.label, None)
