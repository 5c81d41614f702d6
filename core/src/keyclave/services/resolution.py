"""What undoes or finishes an interrupted change in its backend, for `keyclave.services.recovery`.

Each of it may run again: what is gone stays gone, and what is done stays done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from keyclave.backends.backend import Backend
from keyclave.errors import KeyNotFound
from keyclave.models import KeyStatus
from keyclave.plugin import KeyLabel, KeyReference, Location
from keyclave.services.instance import Instance
from keyclave.services.intents import PLUGIN, WINDOW, is_migration
from keyclave.services.keys.cancellation import restore_in_backend
from keyclave.services.keys.destruction import destroy_in_backend, disable_in_backend
from keyclave.services.migration.recovery import disable_source, finish_migration
from keyclave.services.migration.removal import require_absent, require_destination
from keyclave.services.recording import Operation
from keyclave.services.rotation.promotion import promote_in
from keyclave.state.records import StoredIntent
from keyclave.state.store import Transaction

__all__ = ["finish", "settles_at", "undo"]

Note = Callable[[Transaction], object]
"""Writes to the state what became of a change."""
_SETTLED_AFTER = timedelta(seconds=60)


def settles_at(intent: StoredIntent) -> datetime:
    """Return until when a backend that was asked to create or adopt a key, and did not answer, may still do it."""
    return intent.updated_at + _SETTLED_AFTER


def undo(instance: Instance, intent: StoredIntent, operation: Operation, *, definite: bool) -> Note | None:
    """Destroy what was created, or forget what was adopted, and return what to note of it.

    ``None`` says that nothing is there, but that the backend could still do late what it was asked.
    """
    if intent.kind == "revert":
        disable_source(instance, intent)
        return _note_nothing
    if is_migration(intent):
        require_destination(instance, intent)
    if PLUGIN in intent.parameters:  # those of earlier versions do not say it
        instance.require_plugin(intent.backend_id, intent.parameters[PLUGIN])
    backend = instance.backends.get(intent.backend_id)
    try:
        reference = backend.find_key(KeyLabel.parse(intent.label or ""))
    except KeyNotFound:
        dead = instance.owner.is_dead(intent)
        died_with_owner = backend.description.location is Location.IN_PROCESS and dead
        now = datetime.now(UTC)
        return partial(_note_gone, intent, now) if definite or died_with_owner or now > settles_at(intent) else None
    adopted = intent.kind == "adopt"
    gone_at = _forget(backend, reference) if adopted else _destroy(backend, reference, operation)
    if is_migration(intent):
        require_absent(instance, backend.id, reference.label)
    return partial(_note_gone, intent, gone_at)


def finish(instance: Instance, intent: StoredIntent, operation: Operation) -> Note:
    """Repeat the call of the backend, which changes nothing the second time; return what to note of it."""
    if intent.step == WINDOW:
        return partial(_note_promoted, intent)
    if is_migration(intent):
        return finish_migration(instance, intent, operation)
    with instance.store.read() as state:
        key = state.keys.by_id(intent.key_id)
        versions = state.keys.versions(intent.key_id)
    if intent.kind == "revoke":
        disable_in_backend(instance, key, versions)
        return _note_nothing
    version = next(v for v in versions if v.version == intent.to_version)
    if intent.kind == "destroy":
        return partial(_note_gone, intent, destroy_in_backend(instance, operation, key, version))
    there = restore_in_backend(instance, key, version)
    return partial(_note_there, intent) if there else _note_nothing


def _destroy(backend: Backend, reference: KeyReference, operation: Operation) -> datetime | None:
    """Destroy what was made, and return when it is gone; ``None`` from a backend that can only disable keys."""
    if not backend.has("destroy_key"):
        if backend.has("disable_key"):
            backend.disable_key(reference)
        return None
    result = backend.destroy_key(reference)
    operation.provider_reference = result.provider_reference
    return result.scheduled_for or datetime.now(UTC)


def _forget(backend: Backend, reference: KeyReference) -> datetime:
    """Give an adopted key back: it was there before, and others may use it."""
    backend.forget_key(reference)
    return datetime.now(UTC)


def _note_nothing(state: Transaction) -> None:
    """Record nothing but the end of the intent."""


def _note_promoted(intent: StoredIntent, state: Transaction) -> None:
    """Let the version under validation take over."""
    promote_in(state, state.keys.by_id(intent.key_id), intent)


def _note_there(intent: StoredIntent, state: Transaction) -> None:
    """Record that the version an intent names is not destroyed after all."""
    version = next(v for v in state.keys.versions(intent.key_id) if v.version == intent.to_version)
    state.keys.update_version(intent.key_id, version.version, destroyed_at=None)


def _note_gone(intent: StoredIntent, gone_at: datetime | None, state: Transaction) -> None:
    """Record that the version an intent names is gone, if it is. One that never became active is revoked."""
    for version in state.keys.versions(intent.key_id):
        if version.version == intent.to_version and version.destroyed_at is None:
            status = KeyStatus.REVOKED if version.status is KeyStatus.PENDING else version.status
            state.keys.update_version(intent.key_id, version.version, status=status, destroyed_at=gone_at)
