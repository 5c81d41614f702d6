"""Bring a version to its destination, and prove it there, before anything depends on it: carried, or made anew."""

from __future__ import annotations

from msgspec import structs

from keyclave.backends.backend import Backend
from keyclave.models import KeyMigrationRecord, KeyStatus, MigrationStrategy, PlannedMigration
from keyclave.plugin import ImportTicket, KeyLabel, Record
from keyclave.services.handles import is_wrappable, to_reference
from keyclave.services.instance import Instance
from keyclave.services.keys.generation import generate, label_for, to_row
from keyclave.services.migration.places import location_of
from keyclave.services.migration.proof import Side, prove
from keyclave.services.migration.transfer import begin_transfer, carry, wrapping_key_hash
from keyclave.services.recording import Operation
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["Arrival", "Arrived", "Moving"]


class Moving(Record, frozen=True, kw_only=True):
    """What goes from where to where.

    Attributes:
        record: the migration.
        planned: what the plan says of it.
        key, version: what goes, as it is at the source.
        number: of the version at the destination.
        source, destination: the backends.
    """

    record: KeyMigrationRecord
    planned: PlannedMigration
    key: StoredKey
    version: StoredVersion
    number: int
    source: Backend
    destination: Backend


class Arrived(Record, frozen=True, kw_only=True):
    """A version at its destination.

    Attributes:
        version: what it is there.
        proof: that it is the right one.
        integrity_hash, wrapping_key_hash: as in `KeyMigrationRecord`.
    """

    version: StoredVersion
    proof: bytes
    integrity_hash: str | None = None
    wrapping_key_hash: str | None = None


class Arrival:
    """Brings versions to their destinations."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def bring(self, operation: Operation, moving: Moving) -> Arrived:
        """Bring a version to its destination and prove it; the intent of the operation says how far it is."""
        label = label_for(self._instance, operation, moving.key.key_id, moving.number)
        self._instance.owner.require(operation.operation_id)
        if moving.record.strategy is MigrationStrategy.WRAPPED:
            return self._carry(operation, moving, label)
        return self._renew(operation, moving, label)

    def _carry(self, operation: Operation, moving: Moving, label: KeyLabel) -> Arrived:
        planned, source, destination = moving.planned, moving.source, moving.destination
        assert planned.method is not None  # noqa: S101  it is wrapped
        assert planned.wrapping_key_origin is not None  # noqa: S101  as above
        ticket = begin_transfer(
            destination, label, planned.algorithm, planned.method, exportable=_may_move_on(moving)
        )
        carried = carry(
            source,
            destination,
            to_reference(moving.key, moving.version),
            moving.version.public_key,
            ticket,
            approved_origin=planned.wrapping_key_origin,
            keep_hash=lambda integrity_hash: self._keep_hash(operation, ticket, integrity_hash),
        )
        operation.provider_reference = carried.created.provider_reference
        row = to_row(moving.key, destination, carried.created, moving.version.status)
        arrived = structs.replace(
            moving.version, backend_id=row.backend_id, backend_type=row.backend_type, **location_of(row).model_dump()
        )
        return Arrived(
            version=arrived,
            proof=_prove(moving, arrived),
            integrity_hash=carried.integrity_hash,
            wrapping_key_hash=wrapping_key_hash(ticket),
        )

    def _keep_hash(self, operation: Operation, ticket: ImportTicket, integrity_hash: str) -> None:
        """Make durable what is imported next, and under which key it was wrapped."""
        with self._instance.owner.write(operation.operation_id) as state:
            (intent,) = (i for i in state.intents.open() if i.operation_id == operation.operation_id)
            hashes = {"integrity_hash": integrity_hash, "wrapping_key_hash": wrapping_key_hash(ticket)}
            state.intents.advance(operation.operation_id, "import", parameters={**intent.parameters, **hashes})

    def _renew(self, operation: Operation, moving: Moving, label: KeyLabel) -> Arrived:
        new = generate(
            operation,
            moving.key,
            moving.destination,
            label,
            algorithm=moving.planned.algorithm,
            exportable=_may_move_on(moving),
            status=KeyStatus.PENDING,
        )
        with self._instance.owner.write(operation.operation_id) as state:
            state.keys.add_version(new)
            state.intents.advance(operation.operation_id, "prove")
        return Arrived(version=new, proof=_prove(moving, new))


def _may_move_on(moving: Moving) -> bool:
    """Return whether the key may be wrapped at its destination again: as it could before, where that can be."""
    support = moving.destination.support(moving.planned.algorithm)
    can = moving.destination.has("wrap_key") and support is not None and bool(support.wrap_methods)
    return can and is_wrappable(moving.version)


def _prove(moving: Moving, arrived: StoredVersion) -> bytes:
    return prove(
        moving.record.strategy,
        moving.record.migration_id,
        _side(moving.source, moving.key, moving.version),
        _side(moving.destination, moving.key, arrived),
    )


def _side(backend: Backend, key: StoredKey, version: StoredVersion) -> Side:
    return Side(backend=backend, reference=to_reference(key, version), public_key=version.public_key)
