"""Give the version under validation up: out of use in the state first, then gone from its backend.

Recovery repeats the second step where it was interrupted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keyclave.models import KeyHandle, KeyStatus, OperationType
from keyclave.services.handles import current, to_handle
from keyclave.services.instance import Instance
from keyclave.services.keys.destruction import destroy_in_backend, disable_in_backend, followed_up, require_reason
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.services.rotation.promotion import under_validation
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion

__all__ = ["Rollback"]


_LATER = timedelta(days=1)


class Rollback:
    """Rolls rotations back."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def rollback(self, name: str, reason: str, *, version: int | None = None) -> KeyHandle:
        """Give the version under validation up, if it is this one; see `RotationService.rollback`."""
        with self._recorder.operation(OperationType.ROLLBACK, name_reference(name)) as operation:
            require_name(name)
            require_reason(name, reason)
            with self._instance.store.read() as state:
                _, intent = under_validation(state, name, operation, version=version)
            with self._instance.owner.working(intent.operation_id):
                key, given_up = self._take_out_of_use(name, reason, operation, intent)
                with followed_up(key, f"version {given_up.version} signs no more, but may still be in its backend"):
                    gone = self._remove(key, given_up, operation)
                return self._close(key, intent, gone, operation)

    def _take_out_of_use(
        self, name: str, reason: str, operation: Operation, intent: StoredIntent
    ) -> tuple[StoredKey, StoredVersion]:
        with self._instance.owner.write(intent.operation_id) as state:
            key, intent = under_validation(state, name, operation, version=intent.to_version)
            version = state.keys.update_version(
                key.key_id,
                intent.to_version or 0,
                status=KeyStatus.REVOKED,
                next_rotation_at=None,
                validation_ends_at=None,
            )
            active = state.keys.version(key.key_id, intent.from_version or 0)
            now = datetime.now(UTC)
            if active.next_rotation_at is not None and active.next_rotation_at <= now:
                # It is still due, but what went wrong would go wrong again at once.
                state.keys.update_version(key.key_id, active.version, next_rotation_at=now + _LATER)
            parameters = {**intent.parameters, **self._instance.owner.parameters(), "reason": reason}
            state.intents.advance(intent.operation_id, "rollback", parameters=parameters)
        return key, version

    def _remove(self, key: StoredKey, version: StoredVersion, operation: Operation) -> dict[str, object]:
        """Destroy the version in its backend, or disable it where that destroys none; return what to note of it."""
        if self._instance.backend_of(version).has("destroy_key"):
            return {"destroyed_at": destroy_in_backend(self._instance, operation, key, version)}
        disable_in_backend(self._instance, key, (version,))
        return {}

    def _close(
        self, key: StoredKey, intent: StoredIntent, changes: dict[str, object], operation: Operation
    ) -> KeyHandle:
        with self._instance.owner.write(intent.operation_id) as state:
            if changes:
                state.keys.update_version(key.key_id, intent.to_version or 0, **changes)
            state.intents.close(intent.operation_id, "undone")
            self._instance.audit.append_in(state, operation.success())
            return to_handle(key, current(state.keys.versions(key.key_id)))
