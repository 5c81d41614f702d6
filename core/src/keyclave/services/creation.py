"""Create a key: intent, generate, one transaction that records key and first version."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from keyclave.errors import KeyAlreadyExists, KeyNotFound
from keyclave.models import (
    EnvironmentConfiguration,
    KeyHandle,
    KeyStatus,
    OperationType,
    RotationPolicy,
    get_algorithm,
)
from keyclave.services.generation import generate, label_for
from keyclave.services.handles import to_handle
from keyclave.services.instance import Instance
from keyclave.services.intents import new_intent
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Recorder
from keyclave.services.recovery import Recovery
from keyclave.services.selection import BackendSelector
from keyclave.state.records import StoredKey
from keyclave.state.store import Transaction

__all__ = ["Creation"]

_FIRST = 1


class Creation:
    """Creates keys."""

    def __init__(
        self,
        instance: Instance,
        recorder: Recorder,
        recovery: Recovery,
        selector: BackendSelector,
        default: RotationPolicy,
    ) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery
        self._selector = selector
        self._default_policy = default

    def create(
        self, name: str, algorithm: str, *, backend: str | None, policy: RotationPolicy | None, exportable: bool
    ) -> KeyHandle:
        """Create a key; see `KeyService.create`."""
        with (
            self._recorder.operation(OperationType.KEY_GENERATION, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            require_name(name)
            get_algorithm(algorithm)
            key = self._new_key(name, algorithm, policy or self._default_policy)
            with self._instance.store.read() as state:
                _require_free(state, name)
            chosen = self._selector.choose(algorithm, backend)
            operation.key_reference, operation.key_version = str(key.key_id), _FIRST
            operation.backend_id, operation.backend_type = chosen.id, chosen.provider_type
            label = label_for(self._instance, operation, key.key_id, _FIRST)
            intent = new_intent(
                self._instance,
                operation,
                "create",
                key_id=key.key_id,
                backend_id=chosen.id,
                to_version=_FIRST,
                label=label,
            )
            with self._instance.store.write() as state:
                _require_free(state, name)
                state.intents.add(intent)
            with self._recovery.guarding(intent):
                version = generate(key, chosen, label, exportable=exportable, status=KeyStatus.ACTIVE)
                with self._instance.store.write() as state:
                    state.keys.add(key)
                    state.keys.add_version(version)
                    state.intents.close(intent.operation_id, "done")
                    self._instance.audit.append_in(state, operation.success())
        return to_handle(key, version)

    def _new_key(self, name: str, algorithm: str, policy: RotationPolicy) -> StoredKey:
        environment: EnvironmentConfiguration = self._instance.environment
        return StoredKey(
            key_id=uuid.uuid4(),
            name=name,
            algorithm=algorithm,
            owner_principal=self._instance.principal,
            created_at=datetime.now(UTC),
            required_security_level=environment.required_security_level,
            rotation_policy=policy,
            minimum_rotation_interval=None,
        )


def _require_free(state: Transaction, name: str) -> None:
    try:
        state.keys.by_name(name)
    except KeyNotFound:
        return
    raise KeyAlreadyExists("a key of this name exists", key_name=name)
