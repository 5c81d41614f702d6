"""Take a key that is in a backend already into Keyclave's care: intent, adopt, validate, one transaction.

The key is somebody's, and may be in use. So whatever goes wrong before the transaction, it is forgotten again and
never destroyed.
"""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.backends.backend import Backend
from keyclave.errors import CapabilityUnsupported, IntegrityError, InvalidArgument, KeyNotFound
from keyclave.models import KeyHandle, KeyStatus, OperationType
from keyclave.plugin import AdoptKeyRequest, ForeignKey, KeyLabel
from keyclave.services.backends.selection import BackendSelector
from keyclave.services.handles import to_handle
from keyclave.services.instance import Instance
from keyclave.services.intents import KEY_NAME, new_intent
from keyclave.services.keys.generation import label_for, to_row
from keyclave.services.keys.new_keys import FIRST_VERSION, RotationDefaults, new_key, require_free
from keyclave.services.keys.validation import validate
from keyclave.services.names import name_reference, require_name
from keyclave.services.recording import Operation, Recorder
from keyclave.services.recovery import Recovery
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion

__all__ = ["Adoption"]

_HOOKS = ("list_foreign_keys", "adopt_key", "forget_key")
_FOREIGN_AGAIN = "The key is as it was, and not Keyclave's. Check what its backend lets it be used for."


class Adoption:
    """Adopts keys."""

    def __init__(
        self,
        instance: Instance,
        recorder: Recorder,
        recovery: Recovery,
        selector: BackendSelector,
        defaults: RotationDefaults,
    ) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery
        self._selector = selector
        self._defaults = defaults

    def adoptable(self, backend_id: str) -> Iterator[ForeignKey]:
        """Return what could be adopted; see `KeyService.adoptable`."""
        return self._backend(backend_id).list_foreign_keys()

    def adopt(self, name: str, uri: str, *, algorithm: str | None, backend: str) -> KeyHandle:
        """Adopt a key; see `KeyService.adopt`."""
        with (
            self._recorder.operation(OperationType.ADOPT, name_reference(name)) as operation,
            self._instance.owner.working(operation.operation_id),
        ):
            require_name(name)
            with self._instance.store.read() as state:
                require_free(state, name)
            foreign = self._find(backend, uri, algorithm)
            chosen = self._selector.choose(foreign.algorithm, backend)
            key = new_key(
                self._instance, name, foreign.algorithm, self._defaults.policy, self._defaults.minimum_interval
            )
            operation.key_reference, operation.key_version = str(key.key_id), FIRST_VERSION
            operation.backend_id, operation.backend_type = chosen.id, chosen.provider_type
            label = label_for(self._instance, operation, key.key_id, FIRST_VERSION)
            intent = self._begin(operation, key, chosen, label)
            with self._recovery.guarding(intent):
                self._instance.owner.require(operation.operation_id)
                version = _adopt(operation, key, chosen, label, foreign)
                with self._instance.owner.write(operation.operation_id) as state:
                    state.keys.add(key)
                    state.keys.add_version(version)
                    state.intents.close(intent.operation_id, "done")
                    self._instance.audit.append_in(state, operation.success())
        return to_handle(key, version)

    def _backend(self, backend_id: str) -> Backend:
        """Return a backend that can adopt, and undo it."""
        backend = self._selector.named(backend_id)
        if missing := [hook for hook in _HOOKS if not backend.has(hook)]:
            raise CapabilityUnsupported(
                f"it does not adopt keys: it does not implement {' and '.join(missing)}",
                backend_id=backend_id,
                next_step="Name a backend that does, such as a PKCS#11 token; in this one create a key.",
            )
        return backend

    def _find(self, backend_id: str, uri: str, algorithm: str | None) -> ForeignKey:
        found = next((key for key in self.adoptable(backend_id) if key.uri == uri), None)
        if found is None:
            raise KeyNotFound(
                "the backend has no key of this address that could be adopted",
                backend_id=backend_id,
                next_step=f"`keyclave keys adoptable --backend {backend_id}` lists the keys that could be.",
            )
        if algorithm not in (None, found.algorithm):
            raise InvalidArgument(f"it is a key of algorithm {found.algorithm}", backend_id=backend_id)
        return found

    def _begin(self, operation: Operation, key: StoredKey, backend: Backend, label: KeyLabel) -> StoredIntent:
        intent = new_intent(
            self._instance,
            operation,
            "adopt",
            key_id=key.key_id,
            backend_id=backend.id,
            to_version=FIRST_VERSION,
            label=label,
        )
        intent.parameters[KEY_NAME] = key.name
        with self._instance.owner.write(operation.operation_id) as state:
            require_free(state, key.name)
            state.intents.add(intent)
        return intent


def _adopt(
    operation: Operation, key: StoredKey, backend: Backend, label: KeyLabel, foreign: ForeignKey
) -> StoredVersion:
    """Let the backend keep the key under the label, and prove that it works; return the row that records it."""
    adopted = backend.adopt_key(AdoptKeyRequest(label=label, uri=foreign.uri, algorithm=foreign.algorithm))
    operation.provider_reference = adopted.provider_reference
    if foreign.public_key not in (None, adopted.public_key):
        raise IntegrityError("the backend adopted another key than the one that it listed", backend_id=backend.id)
    version = to_row(key, backend, adopted, KeyStatus.ACTIVE)
    validate(key, version, backend, next_step=_FOREIGN_AGAIN)
    return version
