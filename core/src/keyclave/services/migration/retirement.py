"""Destroy the key that a completed migration left at its source, once it need not be kept any more (FR-012)."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from keyclave.errors import CapabilityUnsupported, Conflict, InvalidArgument, PolicyViolation
from keyclave.models import KeyMigrationRecord, KeyStatus, MigrationStatus, MigrationStrategy, OperationType
from keyclave.plugin import KeyLabel
from keyclave.services.clock import why_not_trusted
from keyclave.services.instance import Instance
from keyclave.services.intents import new_intent, require_no_other
from keyclave.services.keys.destruction import Destruction, followed_up
from keyclave.services.keys.validation import validate
from keyclave.services.migration.notes import MIGRATION, migration_in, migration_of, retired_in
from keyclave.services.migration.removal import destroy_at_source
from keyclave.services.recording import Operation, Recorder
from keyclave.state.records import StoredIntent, StoredKey
from keyclave.state.store import Transaction

__all__ = ["Retirement"]

_KEPT = "Roll the migration back if the key does not work at its destination."
_STAYS = "Nothing is left to do: the key is where it was before the migration, and stays there."
_NOTHING = "Nothing is left to do."


class Retirement:
    """Retires sources."""

    def __init__(self, instance: Instance, recorder: Recorder, destruction: Destruction) -> None:
        self._instance = instance
        self._recorder = recorder
        self._destruction = destruction

    def retire(self, migration_id: UUID, confirm: str) -> KeyMigrationRecord:
        """Retire the source of a migration; see `MigrationService.retire`."""
        with (
            self._recorder.operation(OperationType.RETIRE_SOURCE, f"migration:{migration_id}") as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            with self._instance.store.read() as state:
                record = migration_in(state, migration_id)
                key = state.keys.by_id(UUID(record.source_key_id))
                moved = state.keys.version(key.key_id, record.destination_version or record.key_version)
                suspended = why_not_trusted(state.clock.witnessed(), datetime.now(UTC))
            operation.key_reference, operation.key_version = record.source_key_id, record.key_version
            operation.key_name = record.key_name
            operation.backend_id, operation.backend_type = record.source_backend_id, record.source_provider
            _require_due(record, suspended)
            if confirm != record.key_name:
                raise InvalidArgument("it is confirmed by the name of its key, and this is another")
            if moved.status is not KeyStatus.REVOKED and moved.destroyed_at is None:
                validate(key, moved, self._instance.backend_of(moved), next_step=_KEPT)
            self._require_able(record)
            if record.strategy is MigrationStrategy.REKEYED:
                return self._destroy_version(operation, record, key)
            return self._destroy_copy(operation, record, key)

    def _require_able(self, record: KeyMigrationRecord) -> None:
        source = self._instance.backends.get(record.source_backend_id)
        missing = [hook for hook in ("destroy_key", "list_keys") if not source.has(hook)]
        if missing:
            raise CapabilityUnsupported(
                f"it cannot destroy the key, or cannot show it: it does not implement {' and '.join(missing)}",
                backend_id=source.id,
                key_name=record.key_name,
                next_step="Remove the key with the tools of its maker, and leave the migration as it is.",
            )

    def _destroy_version(
        self, operation: Operation, record: KeyMigrationRecord, key: StoredKey
    ) -> KeyMigrationRecord:
        """Destroy the old version of a key that was re-keyed, as `keys.destroy` does.

        That has an intent and a lease of its own. What others do before it is noted here is not overwritten: they may
        have noted it, or called a destruction off that was scheduled, and rolled the migration back.
        """
        self._destruction.destroy(record.key_name, record.key_version)
        with self._instance.store.write() as state:
            _require_unchanged(state, record)
            gone_at = state.keys.version(key.key_id, record.key_version).destroyed_at
            if gone_at is None:
                raise Conflict("somebody else called the destruction of its source off", key_name=key.name)
            retired = retired_in(state, record, gone_at)
            self._instance.audit.append_in(state, operation.success())
        return retired

    def _destroy_copy(self, operation: Operation, record: KeyMigrationRecord, key: StoredKey) -> KeyMigrationRecord:
        """Destroy what the source still has of a version that is elsewhere."""
        intent = self._begin(operation, record, key)
        with followed_up(key, "it will be destroyed at its source, but is not known to be gone yet"):
            gone_at = destroy_at_source(self._instance, operation, intent)
        with self._instance.owner.write(operation.operation_id) as state:
            retired = retired_in(state, migration_of(state, intent), gone_at)
            state.intents.close(intent.operation_id, "done")
            self._instance.audit.append_in(state, operation.success())
        return retired

    def _begin(self, operation: Operation, record: KeyMigrationRecord, key: StoredKey) -> StoredIntent:
        intent = new_intent(
            self._instance,
            operation,
            "retire",
            key_id=key.key_id,
            backend_id=record.source_backend_id,
            from_version=record.key_version,
            label=KeyLabel.parse(record.source_location.label),
        )
        intent.parameters[MIGRATION] = record.migration_id.hex
        with self._instance.owner.write(operation.operation_id) as state:
            require_no_other(state, key)
            _require_unchanged(state, record)
            state.intents.add(intent)
        return intent


def _require_unchanged(state: Transaction, record: KeyMigrationRecord) -> None:
    if migration_in(state, record.migration_id) != record:
        raise Conflict("somebody else changed this migration", key_name=record.key_name)


def _require_due(record: KeyMigrationRecord, suspended: str | None) -> None:
    if record.status is not MigrationStatus.COMPLETED or record.source_retained_until is None:
        rolled_back = record.status is MigrationStatus.ROLLED_BACK
        raise Conflict(
            f"the migration is {record.status.value}",
            key_name=record.key_name,
            next_step=_STAYS if rolled_back else f"Complete it first: `keyclave migrate run {record.plan_id}`.",
            retryable=False,
        )
    if record.retired_at is not None:
        raise Conflict("its source is retired already", key_name=record.key_name, next_step=_NOTHING, retryable=False)
    if record.source_retained_until > datetime.now(UTC):
        raise PolicyViolation(
            f"the source is kept until {record.source_retained_until:%Y-%m-%d %H:%M} UTC (FR-012)",
            key_name=record.key_name,
            next_step="Wait until then: until then the migration can be rolled back.",
        )
    if suspended is not None:
        raise PolicyViolation(
            f"nothing is destroyed by its age: {suspended}",
            key_name=record.key_name,
            next_step="Run `keyclave keys confirm-clock` if the clock is right.",
        )
