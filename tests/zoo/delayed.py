"""The right backend that destroys keys after a week, as clouds do, until that is called off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from keyclave.errors import KeyNotFound
from keyclave.plugin import (
    DestroyResult,
    DestroyState,
    KeyLabel,
    KeyPage,
    KeyReference,
    PermissionReport,
    hookimpl,
)
from msgspec import structs

from tests.zoo.software import ZooSoftware

__all__ = ["ZooDelayed"]


class ZooDelayed(ZooSoftware):
    """The software backend, with dates in memory on which keys go."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.dates: dict[KeyLabel, datetime] = {}

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        """Find a key that stays."""
        if label in self.dates:
            raise KeyNotFound("the key is to be destroyed")
        return super().find_key(label)

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        """List the keys that stay."""
        listed = super().list_keys(page)
        return structs.replace(listed, keys=tuple(key for key in listed.keys if key.label not in self.dates))

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Schedule it."""
        super().disable_key(key)
        date = self.dates.setdefault(key.label, datetime.now(UTC) + timedelta(days=7))
        return DestroyResult(state=DestroyState.SCHEDULED, scheduled_for=date)

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        """Forget the date; the key stays disabled."""
        super().find_key(key.label)
        self.dates.pop(key.label, None)

    @hookimpl
    def check_permissions(self) -> PermissionReport:
        """Return that nothing is missing."""
        return PermissionReport(unchecked=("zoo:Destroy",))
