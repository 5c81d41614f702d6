"""The same directory, where keys are destroyed some days later, and can be disabled.

``NAME.date`` is the day on which a key goes, ``NAME.disabled`` says that it is not to be used. Each change is one file
that appears or goes, in an order that lets it be made again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from keyclave.errors import KeyDisabled, KeyNotFound
from keyclave.plugin import (
    DestroyResult,
    DestroyState,
    KeyLabel,
    KeyPage,
    KeyReference,
    PermissionReport,
    Signed,
    hookimpl,
)
from msgspec import structs

from .backend import DirectoryBackend
from .settings import ForeignSettings


class DelayingBackend(DirectoryBackend):
    """What the directory does, but later."""

    def __init__(self, settings: ForeignSettings, instance_id: UUID) -> None:
        super().__init__(settings, instance_id)
        self._path = settings.keys
        self._missing = settings.missing
        self._delay = timedelta(days=settings.deletion_days)

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        found: KeyReference = super().find_key(label)
        self._require_kept(found)
        return found

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        listed: KeyPage = super().list_keys(page)
        return structs.replace(listed, keys=tuple(key for key in listed.keys if not self._date(key).exists()))

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        if not self._file(key, "pem").exists():
            return DestroyResult(state=DestroyState.DESTROYED, provider_reference="gone already")
        if not self._date(key).exists():
            _write(self._date(key), (datetime.now(UTC) + self._delay).isoformat())
        scheduled_for = datetime.fromisoformat(self._date(key).read_text())
        return DestroyResult(
            state=DestroyState.SCHEDULED, scheduled_for=scheduled_for, provider_reference="request to destroy"
        )

    @hookimpl
    def cancel_destruction(self, key: KeyReference) -> None:
        if not self._file(key, "pem").exists():
            raise KeyNotFound("it is gone", provider_reference="request to cancel")
        if self._date(key).exists():
            self._file(key, "disabled").touch()
            self._date(key).unlink()

    @hookimpl
    def enable_key(self, key: KeyReference) -> None:
        self._require_kept(key)
        self._file(key, "disabled").unlink(missing_ok=True)

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        self._require_kept(key)
        self._file(key, "disabled").touch()

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self._require_kept(key)
        if self._file(key, "disabled").exists():
            raise KeyDisabled("it is disabled")
        signed: Signed = super().sign(key, data, scheme)
        return signed

    @hookimpl
    def check_permissions(self) -> PermissionReport:
        return PermissionReport(missing=self._missing, unchecked=("acme:Destroy",))

    def _require_kept(self, key: KeyReference) -> None:
        if not self._file(key, "pem").exists() or self._date(key).exists():
            raise KeyNotFound("it is gone, or will be")

    def _date(self, key: KeyReference) -> Path:
        return self._file(key, "date")

    def _file(self, key: KeyReference, kind: str) -> Path:
        return self._path / f"{key.uri.rpartition(':')[2]}.{kind}"


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)
