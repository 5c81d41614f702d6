"""Let the version under validation take over: one transaction in which the old one is deprecated."""

from __future__ import annotations

from datetime import UTC, datetime

from keyclave.errors import Conflict
from keyclave.models import KeyHandle, KeyStatus, OperationType
from keyclave.services.clock import kept_from
from keyclave.services.fallback.standby import replace_if_unfit
from keyclave.services.handles import to_handle
from keyclave.services.instance import Instance
from keyclave.services.intents import WINDOW
from keyclave.services.keys.generation import next_rotation
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["Promotion", "promote_in", "under_validation"]


class Promotion:
    """Ends validation periods."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def promote(self, name: str) -> KeyHandle:
        """End the validation period of a key now; see `RotationService.promote`."""
        with self._recorder.operation(OperationType.PROMOTE, name_reference(name)) as operation:
            require_name(name)
            with self._instance.store.read() as state:
                _, waiting = under_validation(state, name, operation)
            owner = self._instance.owner
            with owner.working(waiting.operation_id), owner.write(waiting.operation_id) as state:
                key, intent = under_validation(state, name, operation, version=waiting.to_version)
                promoted = promote_in(state, key, intent)
                state.intents.close(intent.operation_id, "done")
                self._instance.audit.append_in(state, operation.success())
            return to_handle(key, promoted)


def promote_in(state: Transaction, key: StoredKey, intent: StoredIntent) -> StoredVersion:
    """Deprecate the old version and activate the new one, old first: the database allows one ACTIVE."""
    now = datetime.now(UTC)
    policy = key.rotation_policy
    assert intent.from_version is not None  # noqa: S101  every rotation has both
    assert intent.to_version is not None  # noqa: S101
    old = state.keys.version(key.key_id, intent.from_version)
    new = state.keys.version(key.key_id, intent.to_version)
    state.keys.update_version(
        key.key_id,
        old.version,
        status=KeyStatus.DEPRECATED,
        last_rotation_at=max(now, old.created_at),  # unless the clock was ahead when it was created
        next_rotation_at=None,
        not_destroy_before=kept_from(state, now, old.created_at) + policy.deprecated_version_retention_period,
    )
    rotated_at = max(now, new.created_at)
    promoted = state.keys.update_version(
        key.key_id,
        new.version,
        status=KeyStatus.ACTIVE,
        last_rotation_at=rotated_at,
        next_rotation_at=next_rotation(key, rotated_at),
        validation_ends_at=None,
    )
    replace_if_unfit(state, key)
    return promoted


def under_validation(
    state: Transaction, name: str, operation: Operation, *, version: int | None = None
) -> tuple[StoredKey, StoredIntent]:
    """Return a key and the intent of its rotation, which is in its validation period. The operation is about them.

    Args:
        state: the transaction.
        name: the key.
        operation: what is done.
        version: that must be under validation; ``None`` for whichever is.

    Raises:
        Conflict: no version of the key is under validation, or another one.
    """
    key = state.keys.by_name(name)
    operation.key_reference = str(key.key_id)
    for intent in state.intents.open():
        if intent.key_id == key.key_id and intent.step == WINDOW and version in (None, intent.to_version):
            operation.key_version, operation.backend_id = intent.to_version, intent.backend_id
            operation.backend_type = state.keys.version(key.key_id, intent.to_version or 0).backend_type
            return key, intent
    raise Conflict(
        "no version of it is under validation"
        if version is None
        else f"version {version} of it is not under validation",
        key_name=name,
        next_step="Rotate the key to replace the version that is active now.",
        retryable=False,
    )
