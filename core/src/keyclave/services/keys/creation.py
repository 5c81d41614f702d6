"""Create a key: intent, generate, one transaction that records key, first version and, if it has one, standby."""

from __future__ import annotations

from keyclave.backends.backend import Backend
from keyclave.models import KeyHandle, KeyStatus, OperationType, RotationPolicy, get_algorithm
from keyclave.services.backends.selection import BackendSelector
from keyclave.services.fallback.standby_keys import Standbys
from keyclave.services.handles import to_handle
from keyclave.services.instance import Instance
from keyclave.services.intents import KEY_NAME, new_intent
from keyclave.services.keys.generation import generate, label_for
from keyclave.services.keys.new_keys import FIRST_VERSION, RotationDefaults, new_key, require_free
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.services.recovery import Recovery
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Creation"]


class Creation:
    """Creates keys."""

    def __init__(
        self,
        instance: Instance,
        recorder: Recorder,
        recovery: Recovery,
        *,
        selector: BackendSelector,
        standbys: Standbys,
        defaults: RotationDefaults,
    ) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery
        self._selector = selector
        self._standbys = standbys
        self._defaults = defaults

    def create(
        self, name: str, algorithm: str, *, backend: str | None, policy: RotationPolicy | None, wrappable: bool
    ) -> KeyHandle:
        """Create a key; see `KeyService.create`."""
        with (
            self._recorder.operation(OperationType.KEY_GENERATION, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            require_name(name)
            get_algorithm(algorithm)
            key = new_key(
                self._instance, name, algorithm, policy or self._defaults.policy, self._defaults.minimum_interval
            )
            with self._instance.store.read() as state:
                require_free(state, name)
            chosen = self._selector.choose(algorithm, backend)
            operation.key_reference, operation.key_version = str(key.key_id), FIRST_VERSION
            operation.backend_id, operation.backend_type = chosen.id, chosen.provider_type
            version = self._make(operation, key, chosen, wrappable=wrappable)
        return to_handle(key, version)

    def _make(self, operation: Operation, key: StoredKey, chosen: Backend, *, wrappable: bool) -> StoredVersion:
        """Make the first version, and the standby where the policy wants one, and record both with the key."""
        label = label_for(self._instance, operation, key.key_id, FIRST_VERSION)
        intent = new_intent(
            self._instance,
            operation,
            "create",
            key_id=key.key_id,
            backend_id=chosen.id,
            to_version=FIRST_VERSION,
            label=label,
        )
        intent.parameters[KEY_NAME] = key.name
        with self._standbys.beside(key, chosen) as standby:
            beside = () if standby is None else (standby.intent.operation_id,)
            with self._instance.owner.write(operation.operation_id, *beside) as state:
                require_free(state, key.name)
                state.intents.add(intent)
                if standby is not None:
                    standby.begin(state)
            with self._recovery.guarding(intent):
                self._instance.owner.require(operation.operation_id)
                version = generate(
                    operation,
                    key,
                    chosen,
                    label,
                    algorithm=key.algorithm,
                    exportable=wrappable,
                    status=KeyStatus.ACTIVE,
                )
                if standby is not None:
                    standby.make()
                with self._instance.owner.write(operation.operation_id, *beside) as state:
                    state.keys.add(key)
                    state.keys.add_version(version)
                    state.intents.close(intent.operation_id, "done")
                    self._instance.audit.append_in(state, operation.success())
                    if standby is not None:
                        standby.record(state)
        return version
