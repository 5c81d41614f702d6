"""Roll a migration back, at any time before its source is retired (FR-012).

The source is enabled first and proves that it works, so that there is no moment in which no place can use the key.
One transaction then switches back. Only after it is the key of the destination destroyed, and its listing must show
that it is gone; until it does, the record stays open.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from uuid import UUID

from msgspec import structs

from keyclave.errors import CapabilityUnsupported, Conflict, KeyDisabled
from keyclave.models import (
    KeyMigrationRecord,
    KeyStatus,
    MigrationStatus,
    MigrationStrategy,
    OperationType,
    get_algorithm,
)
from keyclave.plugin import KeyLabel
from keyclave.services.handles import algorithm_of, to_reference
from keyclave.services.instance import Instance
from keyclave.services.intents import new_intent, require_no_other
from keyclave.services.keys.destruction import followed_up, require_reason
from keyclave.services.keys.levels import require_level
from keyclave.services.keys.validation import validate
from keyclave.services.migration.notes import MIGRATION, migration_in, migration_of, reverted_in, switch_back_in
from keyclave.services.migration.places import at_destination, at_source
from keyclave.services.migration.removal import destroy_at_destination
from keyclave.services.recording import Operation, Recorder
from keyclave.services.recovery import Recovery
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["Reversal"]

_STILL = "The key works where it is. Check the source with `keyclave doctor`, then roll back again."
_NOTHING = "Nothing is left to do: backend and version of the key are as before the migration."
_PLAN_BACK = "Make a plan that migrates the key back."


class Reversal:
    """Rolls migrations back."""

    def __init__(self, instance: Instance, recorder: Recorder, recovery: Recovery) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery

    def rollback(self, migration_id: UUID, reason: str) -> KeyMigrationRecord:
        """Roll a migration back; see `MigrationService.rollback`."""
        with ExitStack() as working:
            with self._recorder.operation(OperationType.REVERT_MIGRATION, f"migration:{migration_id}") as operation:
                working.enter_context(self._instance.owner.working(operation.operation_id))
                require_reason(None, reason)
                begun = self._begin(operation, migration_id, reason)
                if isinstance(begun, KeyMigrationRecord):
                    return begun
                with self._recovery.guarding(begun):
                    key = self._enable_source(begun)
                    self._switch_back(operation, begun, reason)
            return self._remove(operation, begun, key)

    def _begin(self, operation: Operation, migration_id: UUID, reason: str) -> StoredIntent | KeyMigrationRecord:
        """Return the intent of the rollback, or the record of a migration that was never begun and now never is."""
        with self._instance.owner.write(operation.operation_id) as state:
            record = migration_in(state, migration_id)
            operation.key_reference, operation.key_name = record.source_key_id, record.key_name
            operation.key_version = record.destination_version or record.key_version
            operation.backend_id = record.destination_backend_id
            operation.backend_type = record.destination_provider
            key = state.keys.by_id(UUID(record.source_key_id))
            require_no_other(state, key)
            if record.status is MigrationStatus.IN_PROGRESS:
                given_up = _given_up(record, reason)
                state.migrations.put(given_up)
                self._instance.audit.append_in(state, operation.success())
                return given_up
            self._require_reversible(state, key, record)
            rekeyed = record.strategy is MigrationStrategy.REKEYED
            intent = new_intent(
                self._instance,
                operation,
                "revert",
                key_id=key.key_id,
                backend_id=record.destination_backend_id,
                from_version=record.key_version,
                to_version=record.destination_version if rekeyed else None,
                label=_label_at_destination(record),
            )
            intent.parameters[MIGRATION] = migration_id.hex
            state.intents.add(intent)
        return intent

    def _require_reversible(self, state: Transaction, key: StoredKey, record: KeyMigrationRecord) -> None:
        if record.status is not MigrationStatus.COMPLETED:
            raise Conflict(
                f"the migration cannot be rolled back: it is {record.status.value}",
                key_name=key.name,
                next_step=_NOTHING,
                retryable=False,
            )
        moved = _destination_version(state, key, record)
        old = state.keys.version(key.key_id, record.key_version)
        if record.retired_at is not None or (old != moved and old.destroyed_at is not None):
            raise Conflict(
                "the migration cannot be rolled back: its source is retired or destroyed",
                key_name=key.name,
                next_step=_PLAN_BACK,
                retryable=False,
            )
        if record.strategy is MigrationStrategy.REKEYED and not get_algorithm(algorithm_of(key, moved)).signs:
            raise Conflict(
                "what was encrypted since then is decrypted by the new key only, which a rollback would destroy",
                key_name=key.name,
                next_step=_PLAN_BACK,
                retryable=False,
            )
        _require_in_place(key, moved, record)
        destination = self._instance.backends.get(record.destination_backend_id)
        missing = [hook for hook in ("destroy_key", "list_keys") if not destination.has(hook)]
        if missing:
            raise CapabilityUnsupported(
                f"a rollback destroys the key there and shows that it is gone; it does not implement "
                f"{' and '.join(missing)}",
                backend_id=destination.id,
                key_name=key.name,
            )

    def _enable_source(self, intent: StoredIntent) -> StoredKey:
        with self._instance.store.read() as state:
            record, key = migration_of(state, intent), state.keys.by_id(intent.key_id)
            version = at_source(record, state.keys.version(key.key_id, record.key_version))
        source = self._instance.backends.get(record.source_backend_id)
        require_level(structs.replace(key, required_security_level=record.source_required_level), source)
        self._instance.owner.require(intent.operation_id)
        if source.has("enable_key"):
            source.enable_key(to_reference(key, version))
        validate(key, version, source, next_step=_STILL)
        return key

    def _switch_back(self, operation: Operation, intent: StoredIntent, reason: str) -> None:
        with self._instance.owner.write(operation.operation_id) as state:
            record, key = migration_of(state, intent), state.keys.by_id(intent.key_id)
            _require_in_place(key, _destination_version(state, key, record), record)
            switch_back_in(state, key, intent, record, reason)
            self._instance.audit.append_in(state, operation.success())

    def _remove(self, operation: Operation, intent: StoredIntent, key: StoredKey) -> KeyMigrationRecord:
        with followed_up(key, "it is back at its source, but not known to be gone from its destination yet"):
            gone_at = destroy_at_destination(self._instance, operation, intent)
        with self._instance.owner.write(operation.operation_id) as state:
            ended = reverted_in(state, intent, gone_at)
            state.intents.close(intent.operation_id, "done")
        return ended


def _destination_version(state: Transaction, key: StoredKey, record: KeyMigrationRecord) -> StoredVersion:
    return state.keys.version(key.key_id, record.destination_version or record.key_version)


def _label_at_destination(record: KeyMigrationRecord) -> KeyLabel | None:
    location = record.destination_location
    return None if location is None else KeyLabel.parse(location.label)


def _require_in_place(key: StoredKey, moved: StoredVersion, record: KeyMigrationRecord) -> None:
    """Refuse to take a version back that is out of use, or that has moved on or been replaced since."""
    if moved.status is KeyStatus.REVOKED:
        raise KeyDisabled(f"version {moved.version} is revoked", key_name=key.name)
    replaced = record.strategy is MigrationStrategy.REKEYED and moved.status is not KeyStatus.ACTIVE
    if replaced or moved.destroyed_at is not None or at_destination(record, moved) != moved:
        raise Conflict(
            f"version {moved.version} was replaced, destroyed or moved on since the migration",
            key_name=key.name,
            next_step=_PLAN_BACK,
            retryable=False,
        )


def _given_up(record: KeyMigrationRecord, reason: str) -> KeyMigrationRecord:
    return record.model_copy(
        update={
            "status": MigrationStatus.ROLLED_BACK,
            "rollback_reason": reason,
            "destination_gone_at": max(datetime.now(UTC), record.migrated_at),
            "error_message": None,
        }
    )
