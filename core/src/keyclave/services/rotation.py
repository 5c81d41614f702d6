"""Give a key a new version (FR-017): intent, generate, validate, one transaction that swaps, undo on failure."""

from __future__ import annotations

from datetime import UTC, datetime

from keyclave.errors import Conflict, KeyDisabled, PolicyViolation
from keyclave.models import KeyHandle, KeyStatus, OperationType
from keyclave.services.generation import generate, label_for, next_rotation
from keyclave.services.handles import current, to_handle
from keyclave.services.instance import Instance
from keyclave.services.intents import new_intent
from keyclave.services.levels import require_level
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.services.recovery import Recovery
from keyclave.services.validation import validate
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion

__all__ = ["RotationService"]

_REPEAT = "The key is as it was. Check the backend with `keyclave doctor`, then rotate again."


class RotationService:
    """Rotates keys."""

    def __init__(self, instance: Instance, recorder: Recorder, recovery: Recovery) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery

    def rotate(self, name: str) -> KeyHandle:
        """Make a new version of a key the one that signs or encrypts; return it.

        The version before is deprecated: it verifies and decrypts as long as it is retained.

        Raises:
            KeyNotFound: there is no such key.
            KeyDisabled: the key is revoked.
            Conflict: somebody else is changing the key.
            PolicyViolation: the key's policy forbids it, or forbids it yet, or the backend no longer shows the level
                that the key requires (FR-014).
            IntegrityError: the new version failed its validation, and was destroyed again.
            BackendError: the backend failed; the version before is untouched.
        """
        with (
            self._recorder.operation(OperationType.ROTATE, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            key, old, number = self._read(name)
            operation.key_reference, operation.key_version = str(key.key_id), number
            operation.backend_id, operation.backend_type = old.backend_id, old.backend_type
            backend = self._instance.backends.get(old.backend_id)
            require_level(key, backend)
            intent = self._begin(operation, key, old, number)
            with self._recovery.guarding(intent):
                label = label_for(self._instance, operation, key.key_id, number)
                new = generate(operation, key, backend, label, exportable=old.exportable, status=KeyStatus.PENDING)
                with self._instance.store.write() as state:
                    state.keys.add_version(new)
                    state.intents.advance(intent.operation_id, "validate")
                validate(key, new, backend, next_step=_REPEAT)
                handle = self._swap(key, old, new, operation)
        self._instance.epoch.invalidate()
        return handle

    def _read(self, name: str) -> tuple[StoredKey, StoredVersion, int]:
        require_name(name)
        with self._instance.store.read() as state:
            key = state.keys.by_name(name)
            versions = state.keys.versions(key.key_id)
        old = current(versions)
        if old.status is not KeyStatus.ACTIVE:
            raise KeyDisabled("it has no active version to rotate", key_name=name)
        _require_permitted(key, old)
        return key, old, versions[-1].version + 1

    def _begin(self, operation: Operation, key: StoredKey, old: StoredVersion, number: int) -> StoredIntent:
        intent = new_intent(
            self._instance,
            operation,
            "rotate",
            key_id=key.key_id,
            backend_id=old.backend_id,
            from_version=old.version,
            to_version=number,
            label=label_for(self._instance, operation, key.key_id, number),
        )
        with self._instance.store.write() as state:
            if any(other.key_id == key.key_id for other in state.intents.open()):
                raise Conflict("another change of this key is under way", key_name=key.name)
            versions = state.keys.versions(key.key_id)
            if current(versions) != old or versions[-1].version != number - 1:
                raise Conflict("somebody else changed this key", key_name=key.name)
            state.intents.add(intent)
        return intent

    def _swap(self, key: StoredKey, old: StoredVersion, new: StoredVersion, operation: Operation) -> KeyHandle:
        """Deprecate the old version and activate the new one, old first: the database allows one ACTIVE."""
        now = datetime.now(UTC)
        policy = key.rotation_policy
        with self._instance.store.write() as state:
            state.keys.update_version(
                key.key_id,
                old.version,
                status=KeyStatus.DEPRECATED,
                last_rotation_at=now,
                next_rotation_at=None,
                not_destroy_before=now + policy.deprecated_version_retention_period,
            )
            state.keys.update_version(
                key.key_id,
                new.version,
                status=KeyStatus.ACTIVE,
                last_rotation_at=now,
                next_rotation_at=next_rotation(policy, now),
            )
            state.intents.close(operation.operation_id, "done")
            self._instance.audit.append_in(state, operation.success())
            return to_handle(key, state.keys.version(key.key_id, new.version))


def _require_permitted(key: StoredKey, old: StoredVersion) -> None:
    if not key.rotation_policy.manual_rotation_allowed:
        raise PolicyViolation("the key's policy forbids manual rotation (FR-017)", key_name=key.name)
    minimum = key.minimum_rotation_interval
    since = old.last_rotation_at or old.created_at
    if minimum is not None and datetime.now(UTC) < since + minimum:
        raise PolicyViolation(
            f"the key must not be rotated before {since + minimum:%Y-%m-%d %H:%M} UTC", key_name=key.name
        )
