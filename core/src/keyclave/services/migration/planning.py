"""Find out what a migration of keys would do (FR-012), without asking a backend to change anything."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from keyclave.backends.backend import Backend
from keyclave.errors import InvalidArgument
from keyclave.models import KeyStatus, MigrationPlan, OperationType, PlannedMigration, get_algorithm
from keyclave.services.backends.selection import BackendSelector
from keyclave.services.handles import algorithm_of
from keyclave.services.instance import Instance
from keyclave.services.keys.destruction import require_reason
from keyclave.services.migration.transfer import wrapping_key_origin
from keyclave.services.migration.transferability import Transferability, transferability
from keyclave.services.names import require_name
from keyclave.services.recording import Recorder
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Planning"]

_MOST_KEYS = 10_000
_IN_USE = (KeyStatus.PENDING, KeyStatus.ACTIVE, KeyStatus.STANDBY, KeyStatus.DEPRECATED)


class Planning:
    """Makes plans."""

    def __init__(self, instance: Instance, recorder: Recorder, selector: BackendSelector) -> None:
        self._instance = instance
        self._recorder = recorder
        self._selector = selector

    def plan(self, names: Iterable[str], destination: str, exception: str | None) -> MigrationPlan:
        """Make a plan; see `MigrationService.plan`."""
        with self._recorder.operation(OperationType.PLAN_MIGRATION, f"backend:{destination}") as operation:
            wanted = tuple(names)
            _require_names(wanted)
            if exception is not None:
                require_reason(None, exception)
            chosen = self._selector.named(destination)
            operation.backend_id, operation.backend_type = chosen.id, chosen.provider_type
            plan = MigrationPlan.of(
                plan_id=uuid.uuid4(),
                destination_backend_id=chosen.id,
                destination_provider=chosen.provider_type,
                destination_level=chosen.description.security_level,
                destination_uri=chosen.description.connection_uri,
                requested_by=self._instance.principal,
                created_at=datetime.now(UTC),
                exception=exception,
                versions=tuple(self._planned(wanted, chosen, excepted=exception is not None)),
            )
            with self._instance.store.write() as state:
                state.plans.add(plan)
                self._instance.audit.append_in(state, operation.success())
        return plan

    def _planned(self, names: tuple[str, ...], destination: Backend, *, excepted: bool) -> Iterator[PlannedMigration]:
        for name in names:
            with self._instance.store.read() as state:
                key = state.keys.by_name(name)
                versions = state.keys.versions(key.key_id)
            for version in _remaining(versions):
                yield self.assess(key, version, destination, excepted=excepted)

    def assess(
        self, key: StoredKey, version: StoredVersion, destination: Backend, *, excepted: bool
    ) -> PlannedMigration:
        """Return what a plan says of one version."""
        if reason := _why_it_stays(key, version, destination):
            found = Transferability(strategy=None, reason=reason, requires=key.required_security_level)
        else:
            found = transferability(
                self._instance.backend_of(version),
                destination,
                key,
                version,
                environment_requires=self._instance.environment.required_security_level,
                excepted=excepted,
            )
        algorithm, method = algorithm_of(key, version), found.method
        return PlannedMigration(
            key_id=key.key_id,
            key_name=key.name,
            version=version.version,
            algorithm=algorithm,
            source_backend_id=version.backend_id,
            source_provider=version.backend_type,
            source_uri=None if found.strategy is None else self._uri_of(version.backend_id),
            strategy=found.strategy,
            reason=found.reason,
            requires=found.requires,
            method=method,
            wrapping_key_origin=None if method is None else wrapping_key_origin(destination, algorithm, method),
            downgrade=found.downgrade,
            consequences=(*found.consequences, *self._left_usable(version, found)),
        )

    def _uri_of(self, backend_id: str) -> str | None:
        return self._instance.backends.get(backend_id).description.connection_uri

    def _left_usable(self, version: StoredVersion, found: Transferability) -> Iterator[str]:
        """Yield what must be known of a source that cannot be told to use a key no more."""
        if found.strategy is not None and not self._instance.backend_of(version).has("disable_key"):
            yield (
                f"{version.backend_id!r} cannot disable keys: until it is retired, what is left there could still be"
                " used by whoever reaches it without Keyclave."
            )


def _standby(version: StoredVersion, destination: Backend) -> str:
    if version.backend_id != destination.id:
        return "it is the standby, and stays"
    return (
        f"it is the standby, and is in {destination.id!r} already: once the active version is there as well, it signs"
        " no more until `keyclave keys rotate-due` replaces it"
    )


def _require_names(names: tuple[str, ...]) -> None:
    for name in names:
        require_name(name)
    if len(set(names)) != len(names) or not 1 <= len(names) <= _MOST_KEYS:
        raise InvalidArgument(f"a plan names 1 to {_MOST_KEYS} keys, each once")


def _why_it_stays(key: StoredKey, version: StoredVersion, destination: Backend) -> str | None:
    """Return why a version need not go, or must not go there; ``None`` if it may."""
    if version.status is KeyStatus.DEPRECATED and get_algorithm(algorithm_of(key, version)).signs:
        return "it is deprecated, and stays: what it signed is verified without its backend"
    if version.status is KeyStatus.STANDBY:
        return _standby(version, destination)
    missing = [hook for hook in ("destroy_key", "list_keys") if not destination.has(hook)]
    if missing:
        return f"it could not be undone: {destination.id!r} does not implement {' and '.join(missing)}"
    return None


def _remaining(versions: tuple[StoredVersion, ...]) -> tuple[StoredVersion, ...]:
    """Return the versions that a plan speaks of: those in use; of a key that has none, the newest."""
    return tuple(v for v in versions if v.status in _IN_USE and v.destroyed_at is None) or versions[-1:]
