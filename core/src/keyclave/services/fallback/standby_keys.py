"""Give keys their standby versions: together with the key, later, or anew when they are due (FR-024).

Each is made like a key: intent, generate, validate, one transaction. With a new key that is one transaction for
both, so that there are both or neither.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from keyclave.backends.backend import Backend
from keyclave.errors import Conflict, InvalidArgument, KeyDisabled, PolicyViolation
from keyclave.models import KeyHandle, KeyStatus, OperationType, get_algorithm
from keyclave.services.backends.selection import BackendSelector
from keyclave.services.fallback.standby import retire, standby_of
from keyclave.services.handles import algorithm_of, current, to_handle
from keyclave.services.instance import Instance
from keyclave.services.intents import KEY_NAME, new_intent, require_no_other
from keyclave.services.keys.generation import generate, label_for
from keyclave.services.keys.new_keys import FIRST_VERSION
from keyclave.services.keys.validation import validate
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.services.recovery import Recovery
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["NewStandby", "Standbys"]

_REPEAT = "The key is as it was. Check the backend with `keyclave doctor`, then repeat the command."
_log = logging.getLogger("keyclave.fallback")


class NewStandby:
    """A standby version that is being made.

    Attributes:
        intent: what recovery undoes it by.
    """

    def __init__(
        self,
        instance: Instance,
        operation: Operation,
        key: StoredKey,
        backend: Backend,
        *,
        algorithm: str,
        number: int,
    ) -> None:
        operation.key_reference, operation.key_version = str(key.key_id), number
        operation.backend_id, operation.backend_type = backend.id, backend.provider_type
        self._instance = instance
        self._operation = operation
        self._key = key
        self._backend = backend
        self._algorithm = algorithm
        self._label = label_for(instance, operation, key.key_id, number)
        self._made: StoredVersion | None = None
        self.intent = new_intent(
            instance,
            operation,
            "create",
            key_id=key.key_id,
            backend_id=backend.id,
            to_version=number,
            label=self._label,
        )
        self.intent.parameters[KEY_NAME] = key.name

    def begin(self, state: Transaction) -> None:
        """Write down what is about to be done."""
        state.intents.add(self.intent)

    def make(self) -> None:
        """Make it in its backend, and let it prove itself: its first signature is needed when the other is away."""
        self._instance.owner.require(self.intent.operation_id)
        made = generate(
            self._operation,
            self._key,
            self._backend,
            self._label,
            algorithm=self._algorithm,
            exportable=False,
            status=KeyStatus.STANDBY,
        )
        validate(self._key, made, self._backend, next_step=_REPEAT)
        self._made = made

    def record(self, state: Transaction) -> StoredVersion:
        """Record it, and that it is made."""
        assert self._made is not None  # noqa: S101  it is recorded after it was made
        state.keys.add_version(self._made)
        state.intents.close(self.intent.operation_id, "done")
        self._instance.audit.append_in(state, self._operation.success())
        return self._made


class Standbys:
    """Makes standby versions, and ends them."""

    def __init__(self, instance: Instance, recorder: Recorder, recovery: Recovery, selector: BackendSelector) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery
        self._selector = selector
        self.enabled = instance.environment.fallback_policy.enabled

    @contextmanager
    def beside(self, key: StoredKey, active: Backend) -> Iterator[NewStandby | None]:
        """Let the body create a key and its standby; where it fails, the standby is undone.

        Args:
            key: the key, which is not there yet.
            active: the backend of its first version.

        Yields:
            The standby; ``None`` where the policy wants none, or no backend may take it, which is a warning.
        """
        backend = self._backend_beside(key, active)
        if backend is None:
            yield None
            return
        operation = self._recorder.part(OperationType.ADD_STANDBY)
        standby = NewStandby(
            self._instance, operation, key, backend, algorithm=key.algorithm, number=FIRST_VERSION + 1
        )
        with self._instance.owner.working(operation.operation_id), self._recovery.guarding(standby.intent):
            yield standby

    def _backend_beside(self, key: StoredKey, active: Backend) -> Backend | None:
        if not self.enabled or not get_algorithm(key.algorithm).signs:
            return None
        try:
            return self._selector.choose_standby(key, key.algorithm, active.id)
        except PolicyViolation as error:
            problem = error.message
        _log.warning("key %r has no standby for a fallback (FR-024): %s", key.name, problem)
        return None

    def add(self, name: str) -> KeyHandle:
        """Give a key a standby, or a new one; see `KeyService.add_standby`."""
        with (
            self._recorder.operation(OperationType.ADD_STANDBY, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            require_name(name)
            key, versions = self._read(name)
            active = current(versions)
            operation.key_reference = str(key.key_id)
            algorithm = self._permitted(key, active)
            backend = self._selector.choose_standby(key, algorithm, active.backend_id)
            standby = NewStandby(
                self._instance, operation, key, backend, algorithm=algorithm, number=versions[-1].version + 1
            )
            with self._instance.owner.write(operation.operation_id) as state:
                require_no_other(state, key)
                if state.keys.versions(key.key_id) != versions:
                    raise Conflict("somebody else changed this key", key_name=name)
                standby.begin(state)
            with self._recovery.guarding(standby.intent):
                standby.make()
                return to_handle(key, self._take_up(key, active, standby))

    def _read(self, name: str) -> tuple[StoredKey, tuple[StoredVersion, ...]]:
        with self._instance.store.read() as state:
            key = state.keys.by_name(name)
            return key, state.keys.versions(key.key_id)

    def _permitted(self, key: StoredKey, active: StoredVersion) -> str:
        """Return the algorithm of the standby of a key that may have one."""
        if not self.enabled:
            raise PolicyViolation(
                "the policy allows no fallback (FR-024), so that a standby would never sign",
                key_name=key.name,
                next_step="Set enabled = true in [environment.fallback] if its owner agrees.",
            )
        if active.status is not KeyStatus.ACTIVE:
            raise KeyDisabled("it has no active version that a standby could sign for", key_name=key.name)
        algorithm = algorithm_of(key, active)
        if not get_algorithm(algorithm).signs:
            raise InvalidArgument(
                "a key that encrypts has no standby: no other key decrypts what it encrypted", key_name=key.name
            )
        return algorithm

    def _take_up(self, key: StoredKey, active: StoredVersion, standby: NewStandby) -> StoredVersion:
        with self._instance.owner.write(standby.intent.operation_id) as state:
            versions = state.keys.versions(key.key_id)
            if current(versions) != active:
                raise KeyDisabled("it was changed while its standby was made", key_name=key.name)
            old = standby_of(versions)
            if old is not None:
                retire(state, key, old)
            return standby.record(state)

    def remove(self, name: str) -> KeyHandle:
        """Take the standby of a key out of use; see `KeyService.remove_standby`."""
        with self._recorder.operation(OperationType.REMOVE_STANDBY, name_reference(name)) as operation:
            require_name(name)
            with self._instance.store.write() as state:
                key = state.keys.by_name(name)
                operation.key_reference = str(key.key_id)
                require_no_other(state, key)
                standby = standby_of(state.keys.versions(key.key_id))
                if standby is None:
                    raise Conflict(
                        "it has no standby", key_name=name, next_step="Nothing is left to do.", retryable=False
                    )
                operation.key_version = standby.version
                operation.backend_id, operation.backend_type = standby.backend_id, standby.backend_type
                retired = retire(state, key, standby)
                self._instance.audit.append_in(state, operation.success())
            return to_handle(key, retired)
