"""Finish or undo what an interrupted migration left open, for `keyclave.services.recovery`."""

from __future__ import annotations

from collections.abc import Callable

from keyclave.services.instance import Instance
from keyclave.services.migration.notes import SWITCHED, complete_in, migration_of, retired_in, reverted_in
from keyclave.services.migration.places import disable_at_source
from keyclave.services.migration.removal import destroy_at_destination, destroy_at_source
from keyclave.services.recording import Operation
from keyclave.state.records import StoredIntent
from keyclave.state.store import Transaction

__all__ = ["disable_source", "finish_migration", "is_to_be_undone"]


def is_to_be_undone(intent: StoredIntent) -> bool:
    """Return whether a migration or its rollback is undone: nothing has been switched yet."""
    return intent.kind in ("migrate", "revert") and intent.step != SWITCHED


def disable_source(instance: Instance, intent: StoredIntent) -> None:
    """Let the source use the key no more: that ends a migration, and undoes a rollback that was begun."""
    with instance.store.read() as state:
        record, key = migration_of(state, intent), state.keys.by_id(intent.key_id)
        version = state.keys.version(key.key_id, record.key_version)
    disable_at_source(instance, key, record, version)


def finish_migration(
    instance: Instance, intent: StoredIntent, operation: Operation
) -> Callable[[Transaction], object]:
    """Repeat what a backend was asked for, which changes nothing the second time; return what to note of it."""
    if intent.kind == "revert":
        gone_at = destroy_at_destination(instance, operation, intent)
        return lambda state: reverted_in(state, intent, gone_at)
    if intent.kind == "retire":
        retired_at = destroy_at_source(instance, operation, intent)
        return lambda state: retired_in(state, migration_of(state, intent), retired_at)
    disable_source(instance, intent)
    return lambda state: complete_in(state, intent)
