"""Take a key out of use: revoke all of it, or destroy one version.

The state decides what may be used and is changed first; the backend follows, and recovery repeats that second step
where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from keyclave.errors import (
    CapabilityUnsupported,
    Conflict,
    InvalidArgument,
    KeyclaveError,
    KeyNotFound,
    OutcomeUnknown,
    PolicyViolation,
)
from keyclave.models import KeyHandle, KeyStatus, OperationType
from keyclave.services.clock import why_not_trusted
from keyclave.services.handles import current, to_handle, to_reference
from keyclave.services.instance import Instance
from keyclave.services.intents import WINDOW, new_intent, require_no_migration
from keyclave.services.names import name_reference, require_name, require_version
from keyclave.services.recording import Operation, Recorder
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["Destruction", "destroy_in_backend", "disable_in_backend", "followed_up", "read_version", "require_reason"]

_REASON_LIMIT = 1024


def disable_in_backend(instance: Instance, key: StoredKey, versions: tuple[StoredVersion, ...]) -> None:
    """Disable every version that exists in its backend, where the backend can do that. A missing one is of no use.

    Versions may be in several backends: one that fails leaves no version in another one enabled.
    """
    failures = []
    for version in versions:
        if version.destroyed_at is not None:
            continue
        try:
            backend = instance.backend_of(version)
            if backend.has("disable_key"):
                with suppress(KeyNotFound):
                    backend.disable_key(to_reference(key, version))
        except KeyclaveError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def destroy_in_backend(instance: Instance, operation: Operation, key: StoredKey, version: StoredVersion) -> datetime:
    """Destroy a version in its backend; return when it is gone, or will be. A missing one is gone."""
    try:
        result = instance.backend_of(version).destroy_key(to_reference(key, version))
    except KeyNotFound:
        return datetime.now(UTC)
    operation.provider_reference = result.provider_reference
    return result.scheduled_for or datetime.now(UTC)


@contextmanager
def followed_up(key: StoredKey, so_far: str) -> Iterator[None]:
    """Let no failure of a backend say that nothing changed: recovery repeats the call until it succeeds."""
    try:
        yield
    except KeyclaveError as error:
        failure = error
    else:
        return
    raise OutcomeUnknown(
        f"{so_far}: {failure.message}",
        backend_id=failure.backend_id,
        key_name=key.name,
        provider_reference=failure.provider_reference,
        next_step="Run `keyclave recover` when the backend can be reached; every command tries it when it starts.",
    )


def read_version(instance: Instance, operation: Operation, name: str, number: int) -> tuple[StoredKey, StoredVersion]:
    """Return a key and one version of it, and let the operation be about them."""
    require_name(name)
    require_version(number)
    with instance.store.read() as state:
        key = state.keys.by_name(name)
        version = state.keys.version(key.key_id, number)
    operation.key_reference, operation.key_version = str(key.key_id), number
    operation.backend_id, operation.backend_type = version.backend_id, version.backend_type
    return key, version


class Destruction:
    """Revokes keys and destroys versions."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def revoke(self, name: str, reason: str) -> tuple[KeyHandle, ...]:
        """Revoke every version; see `KeyService.revoke`."""
        with (
            self._recorder.operation(OperationType.REVOKE, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            key = self._mark_revoked(name, reason, operation)
            with self._instance.store.read() as state:
                versions = state.keys.versions(key.key_id)
            with followed_up(key, "the key is revoked, but it is not known to be disabled in its backend"):
                disable_in_backend(self._instance, key, versions)
            with self._instance.owner.write(operation.operation_id) as state:
                state.intents.close(operation.operation_id, "done")
                self._instance.audit.append_in(state, operation.success())
        return tuple(to_handle(key, version) for version in versions)

    def _mark_revoked(self, name: str, reason: str, operation: Operation) -> StoredKey:
        require_name(name)
        require_reason(name, reason)
        with self._instance.owner.write(operation.operation_id) as state:
            key = state.keys.by_name(name)
            operation.key_reference = str(key.key_id)
            versions = state.keys.versions(key.key_id)
            intent = new_intent(
                self._instance, operation, "revoke", key_id=key.key_id, backend_id=current(versions).backend_id
            )
            intent.parameters["reason"] = reason
            state.intents.add(intent)
            for other in state.intents.open():
                if other.key_id == key.key_id and other.step == WINDOW:
                    state.intents.close(other.operation_id, "undone")
            for version in versions:
                if version.status is not KeyStatus.REVOKED:
                    state.keys.update_version(
                        key.key_id,
                        version.version,
                        status=KeyStatus.REVOKED,
                        next_rotation_at=None,
                        validation_ends_at=None,
                    )
        return key

    def destroy(self, name: str, number: int) -> KeyHandle:
        """Destroy one version; see `KeyService.destroy`."""
        with (
            self._recorder.operation(OperationType.DESTROY, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            key, version = read_version(self._instance, operation, name, number)
            _require_destructible(name, version)
            if version.destroyed_at is None:
                return self._destroy(key, version, operation)
            self._instance.audit.append(operation.success())
        return to_handle(key, version)

    def _destroy(self, key: StoredKey, version: StoredVersion, operation: Operation) -> KeyHandle:
        if not self._instance.backend_of(version).has("destroy_key"):
            raise CapabilityUnsupported("it cannot destroy keys", backend_id=version.backend_id, key_name=key.name)
        intent = new_intent(
            self._instance,
            operation,
            "destroy",
            key_id=key.key_id,
            backend_id=version.backend_id,
            to_version=version.version,
        )
        with self._instance.owner.write(operation.operation_id) as state:
            require_no_migration(state, key)
            now = state.keys.version(key.key_id, version.version)
            if now.label != version.label:
                raise Conflict("somebody else moved this version", key_name=key.name)
            _require_destructible(key.name, now)
            _require_trusted_clock(state, key.name, now)
            state.intents.add(intent)
        self._instance.owner.require(operation.operation_id)
        with followed_up(key, f"version {version.version} will be destroyed, but is not known to be gone yet"):
            destroyed_at = destroy_in_backend(self._instance, operation, key, version)
        with self._instance.owner.write(operation.operation_id) as state:
            destroyed = state.keys.update_version(key.key_id, version.version, destroyed_at=destroyed_at)
            state.intents.close(operation.operation_id, "done")
            self._instance.audit.append_in(state, operation.success())
        return to_handle(key, destroyed)


def require_reason(name: str | None, reason: object) -> None:
    """Refuse a reason that is none: 1 to 1024 characters of valid Unicode, not all blank."""
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidArgument("a reason is needed", key_name=name)
    if len(reason) > _REASON_LIMIT or any(map(_is_surrogate, reason)):
        raise InvalidArgument(
            f"the reason is longer than {_REASON_LIMIT} characters, or is not valid Unicode", key_name=name
        )


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _require_destructible(name: str, version: StoredVersion) -> None:
    if version.status not in (KeyStatus.DEPRECATED, KeyStatus.REVOKED):
        raise Conflict(
            f"version {version.version} is {version.status.value}",
            key_name=name,
            next_step="Only deprecated and revoked versions are destroyed: rotate or revoke the key, or remove its"
            " standby, first.",
            retryable=False,
        )
    if version.not_destroy_before is not None and version.not_destroy_before > datetime.now(UTC):
        raise PolicyViolation(
            f"version {version.version} is kept until {version.not_destroy_before:%Y-%m-%d %H:%M} UTC",
            key_name=name,
            next_step="Wait until then: old signatures and ciphertexts may still need it.",
        )


def _require_trusted_clock(state: Transaction, name: str, version: StoredVersion) -> None:
    """Refuse to take a retention for ended by a clock that jumped since somebody looked at it."""
    witnessed = state.clock.witnessed()
    if version.not_destroy_before is None or witnessed is None:
        return
    problem = why_not_trusted(witnessed, datetime.now(UTC))
    if problem is not None:
        raise PolicyViolation(
            f"whether version {version.version} must still be kept is not known: {problem}",
            key_name=name,
            next_step="Look at the clock first, then run `keyclave keys confirm-clock`.",
        )
