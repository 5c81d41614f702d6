"""Let one of the two places of a migrated version keep the key no more, and let its listing show that it is gone.

That a backend has no such key shows it only if it is the backend of the plan. Where the settings name another one
by now, as a token that took its place, nothing is known of the key.
"""

from __future__ import annotations

from datetime import datetime

from keyclave.errors import IntegrityError
from keyclave.plugin import KeyLabel
from keyclave.services.instance import Instance
from keyclave.services.keys.destruction import destroy_in_backend
from keyclave.services.migration.notes import migration_of, plan_of
from keyclave.services.migration.places import at_destination, at_source
from keyclave.services.recording import Operation
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion

__all__ = ["destroy_at_destination", "destroy_at_source", "require_absent", "require_destination"]


def destroy_at_destination(instance: Instance, operation: Operation, intent: StoredIntent) -> datetime:
    """Destroy the key of a migration that is rolled back, and return when it is gone, or will be.

    Raises:
        IntegrityError: the destination lists it still, or is another one by now.
    """
    require_destination(instance, intent)
    with instance.store.read() as state:
        record, key = migration_of(state, intent), state.keys.by_id(intent.key_id)
        version = state.keys.version(key.key_id, record.destination_version or record.key_version)
    return _destroy(instance, operation, key, at_destination(record, version))


def destroy_at_source(instance: Instance, operation: Operation, intent: StoredIntent) -> datetime:
    """Destroy the key that a migration left at its source, and return when it is gone, or will be.

    Raises:
        IntegrityError: the source lists it still, or is another one by now.
    """
    with instance.store.read() as state:
        record, key = migration_of(state, intent), state.keys.by_id(intent.key_id)
        version = state.keys.version(key.key_id, record.key_version)
        planned = plan_of(state, record).of_version(key.key_id, record.key_version)
    _require_place(instance, record.source_backend_id, planned.source_uri)
    return _destroy(instance, operation, key, at_source(record, version))


def require_destination(instance: Instance, intent: StoredIntent) -> None:
    """Return if the destination of a migration is the backend that its plan names.

    Raises:
        IntegrityError: the settings name another one by now.
    """
    with instance.store.read() as state:
        record = migration_of(state, intent)
        plan = plan_of(state, record)
    _require_place(instance, record.destination_backend_id, plan.destination_uri)


def _require_place(instance: Instance, backend_id: str, planned_uri: str | None) -> None:
    uri = instance.backends.get(backend_id).description.connection_uri
    if uri != planned_uri:
        raise IntegrityError(
            f"the key was in the backend at {planned_uri}, and the settings name the one at {uri}, which says"
            " nothing of it",
            backend_id=backend_id,
            next_step="Let the settings name the backend of the migration again, then run `keyclave recover`.",
        )


def require_absent(instance: Instance, backend_id: str, label: KeyLabel) -> None:
    """Return if a backend lists no key of this label: that it said so when it destroyed it does not show it.

    Raises:
        IntegrityError: it lists one.
    """
    backend = instance.backends.get(backend_id)
    if any(reference.label == label for reference in backend.list_keys()):
        raise IntegrityError(
            "the backend was told to destroy the key, and lists it still",
            backend_id=backend_id,
            next_step="Run `keyclave recover` to try again; if it stays, ask who runs the backend.",
        )


def _destroy(instance: Instance, operation: Operation, key: StoredKey, version: StoredVersion) -> datetime:
    gone_at = destroy_in_backend(instance, operation, key, version)
    require_absent(instance, version.backend_id, KeyLabel.parse(version.label))
    return gone_at
