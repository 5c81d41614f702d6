"""What the state says of a migration, changed inside one transaction: begun, switched, ended, and back again."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from keyclave.errors import InvalidArgument
from keyclave.models import (
    SOURCE_RETENTION,
    KeyMigrationRecord,
    KeyStatus,
    MigrationPlan,
    MigrationStatus,
    MigrationStrategy,
)
from keyclave.services.clock import kept_from
from keyclave.services.fallback.standby import replace_if_unfit
from keyclave.services.keys.generation import next_rotation
from keyclave.services.migration.places import place_at_destination, place_at_source
from keyclave.services.rotation.promotion import promote_in
from keyclave.state.records import StoredIntent, StoredKey
from keyclave.state.store import Transaction

__all__ = [
    "MIGRATION",
    "SWITCHED",
    "complete_in",
    "migration_in",
    "migration_of",
    "plan_of",
    "retired_in",
    "reverted_in",
    "switch_back_in",
    "switch_in",
]

MIGRATION = "migration"
"""The parameter of an intent that names its migration."""

SWITCHED = "switched"
"""The step from which a migration, or its rollback, is finished and no longer undone."""


def migration_in(state: Transaction, migration_id: UUID) -> KeyMigrationRecord:
    """Return a migration.

    Raises:
        InvalidArgument: there is none of this id.
    """
    record = state.migrations.get(migration_id)
    if record is None:
        raise InvalidArgument(
            "there is no such migration", next_step="`keyclave migrate list` shows the migrations and their ids."
        )
    return record


def migration_of(state: Transaction, intent: StoredIntent) -> KeyMigrationRecord:
    """Return the migration that an intent is of."""
    return migration_in(state, UUID(hex=intent.parameters[MIGRATION]))


def plan_of(state: Transaction, record: KeyMigrationRecord) -> MigrationPlan:
    """Return the plan that a migration carries out."""
    plan = state.plans.get(record.plan_id)
    assert plan is not None  # noqa: S101  a migration needs one, and none is ever removed
    return plan


def switch_in(
    state: Transaction, key: StoredKey, intent: StoredIntent, record: KeyMigrationRecord
) -> KeyMigrationRecord:
    """Let the destination keep the key from now on; the record says where. Return it."""
    if record.strategy is MigrationStrategy.WRAPPED:
        state.keys.update_version(key.key_id, record.key_version, **place_at_destination(record))
        replace_if_unfit(state, key)
    else:
        promote_in(state, key, intent)
    state.intents.advance(intent.operation_id, SWITCHED)
    state.migrations.put(record)
    return record


def complete_in(state: Transaction, intent: StoredIntent) -> KeyMigrationRecord:
    """End the migration of an intent: the source keeps the key for a while. Return its record."""
    record = migration_of(state, intent)
    now = max(datetime.now(UTC), record.migrated_at)
    version = state.keys.version(intent.key_id, record.key_version)
    retained = [kept_from(state, now) + SOURCE_RETENTION]
    if record.strategy is MigrationStrategy.REKEYED and version.not_destroy_before is not None:
        retained.append(version.not_destroy_before)
    completed = record.model_copy(
        update={
            "status": MigrationStatus.COMPLETED,
            "completed_at": now,
            "source_retained_until": max(retained),
            "error_message": None,
        }
    )
    state.migrations.put(completed)
    return completed


def switch_back_in(
    state: Transaction, key: StoredKey, intent: StoredIntent, record: KeyMigrationRecord, reason: str
) -> KeyMigrationRecord:
    """Let the source keep the key again. The record stays open until the destination shows that it is gone."""
    if record.strategy is MigrationStrategy.WRAPPED:
        state.keys.update_version(key.key_id, record.key_version, **place_at_source(record))
    else:
        _put_old_version_back(state, key, record.key_version, intent.to_version or 0)
    if key.required_security_level is not record.source_required_level and not _is_excepted(state, key, record):
        state.keys.require_level(key.key_id, record.source_required_level)
    replace_if_unfit(state, key)
    state.intents.advance(intent.operation_id, SWITCHED)
    opened = record.model_copy(
        update={
            "status": MigrationStatus.IN_PROGRESS,
            "completed_at": None,
            "rollback_reason": reason,
            "error_message": "it is rolled back, and its key may still be in the destination",
        }
    )
    state.migrations.put(opened)
    return opened


def _put_old_version_back(state: Transaction, key: StoredKey, old: int, new: int) -> None:
    """Let the version that was re-keyed sign again, and the one that took over for it no more."""
    now = datetime.now(UTC)
    state.keys.update_version(
        key.key_id, new, status=KeyStatus.DEPRECATED, last_rotation_at=now, next_rotation_at=None
    )
    state.keys.update_version(
        key.key_id,
        old,
        status=KeyStatus.ACTIVE,
        last_rotation_at=now,
        next_rotation_at=next_rotation(key, now),
    )


def _is_excepted(state: Transaction, key: StoredKey, reverted: KeyMigrationRecord) -> bool:
    """Return whether another migration than the one that is rolled back keeps the key at a lower level."""
    return any(
        plan_of(state, other).of_version(key.key_id, other.key_version).downgrade is not None
        for other in state.migrations.of_key(key.key_id)
        if other.migration_id != reverted.migration_id and other.status is MigrationStatus.COMPLETED
    )


def reverted_in(state: Transaction, intent: StoredIntent, gone_at: datetime) -> KeyMigrationRecord:
    """End the rollback of an intent: the key is gone from the destination, or will be. Return the record."""
    record = migration_of(state, intent)
    if intent.to_version is not None:
        state.keys.update_version(intent.key_id, intent.to_version, destroyed_at=gone_at)
    ended = record.model_copy(
        update={"status": MigrationStatus.ROLLED_BACK, "destination_gone_at": gone_at, "error_message": None}
    )
    state.migrations.put(ended)
    return ended


def retired_in(state: Transaction, record: KeyMigrationRecord, gone_at: datetime) -> KeyMigrationRecord:
    """Note that the source key of a migration is gone, or will be. Return the record."""
    retired = record.model_copy(update={"retired_at": gone_at, "error_message": None})
    state.migrations.put(retired)
    return retired
