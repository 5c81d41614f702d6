"""Call a scheduled destruction off: intent, the backend, one transaction that says that the version is there.

An interrupted one is finished, not undone: whoever wanted the key kept loses nothing by it.
"""

from __future__ import annotations

from keyclave.errors import CapabilityUnsupported, Conflict, KeyNotFound
from keyclave.models import KeyHandle, KeyStatus, OperationType
from keyclave.services.handles import to_handle, to_reference
from keyclave.services.instance import Instance
from keyclave.services.intents import new_intent, require_no_other
from keyclave.services.keys.destruction import disable_in_backend, followed_up, read_version
from keyclave.services.names import name_reference
from keyclave.services.recording import Operation, Recorder
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion

__all__ = ["Cancellation", "restore_in_backend"]


def restore_in_backend(instance: Instance, key: StoredKey, version: StoredVersion) -> bool:
    """Call the destruction of a version off in its backend; return whether the key is there.

    It comes back disabled, and is enabled unless it is revoked.
    """
    backend = instance.backend_of(version)
    reference = to_reference(key, version)
    try:
        backend.cancel_destruction(reference)
        if version.status is not KeyStatus.REVOKED and backend.has("enable_key"):
            backend.enable_key(reference)
    except KeyNotFound:
        return False
    return True


class Cancellation:
    """Calls destructions off."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def cancel(self, name: str, number: int) -> KeyHandle:
        """Call the destruction of one version off; see `KeyService.cancel_destruction`."""
        with (
            self._recorder.operation(OperationType.CANCEL_DESTRUCTION, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            key, version = read_version(self._instance, operation, name, number)
            self._require_capable(key, version)
            intent = self._begin(operation, key, number)
            self._instance.owner.require(operation.operation_id)
            with followed_up(key, f"the destruction of version {number} is not known to be called off yet"):
                there = restore_in_backend(self._instance, key, version)
            restored = self._note(intent, operation, number, there=there)
            if restored is None:
                raise KeyNotFound(f"version {number} is gone from its backend", key_name=name)
            if restored.status is KeyStatus.REVOKED:
                # It may have been revoked in between, and enabled after that.
                disable_in_backend(self._instance, key, (restored,))
        return to_handle(key, restored)

    def _require_capable(self, key: StoredKey, version: StoredVersion) -> None:
        if not self._instance.backend_of(version).has("cancel_destruction"):
            raise CapabilityUnsupported(
                "it does not call destructions off",
                backend_id=version.backend_id,
                key_name=key.name,
                next_step="Nothing is left to do: what is destroyed in this backend cannot be brought back.",
            )

    def _begin(self, operation: Operation, key: StoredKey, number: int) -> StoredIntent:
        with self._instance.owner.write(operation.operation_id) as state:
            version = state.keys.version(key.key_id, number)
            require_no_other(state, key)
            if version.destroyed_at is None:
                raise Conflict(
                    f"no destruction of version {number} is scheduled",
                    key_name=key.name,
                    next_step="Run `keyclave keys show NAME` to see the versions and when each is destroyed.",
                    retryable=False,
                )
            intent = new_intent(
                self._instance,
                operation,
                "cancel",
                key_id=key.key_id,
                backend_id=version.backend_id,
                to_version=number,
            )
            state.intents.add(intent)
        return intent

    def _note(self, intent: StoredIntent, operation: Operation, number: int, *, there: bool) -> StoredVersion | None:
        """Close the intent; return the version as it is from now on, or ``None`` if it is gone."""
        with self._instance.owner.write(operation.operation_id) as state:
            restored = None
            if there:
                restored = state.keys.update_version(intent.key_id, number, destroyed_at=None)
                self._instance.audit.append_in(state, operation.success())
            state.intents.close(intent.operation_id, "done")
        return restored
