"""The two places of a version that was migrated, and what becomes of the key in each.

For the time in which both keep the key, one of them is where the state says that it is; here the other one can be
asked as well.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from keyclave.errors import IntegrityError
from keyclave.models import KeyLocation, KeyMigrationRecord, MigrationStrategy, get_algorithm
from keyclave.services.handles import algorithm_of
from keyclave.services.instance import Instance
from keyclave.services.keys.destruction import disable_in_backend
from keyclave.state.records import StoredKey, StoredVersion

__all__ = [
    "at_destination",
    "at_source",
    "disable_at_source",
    "location_of",
    "place_at_destination",
    "place_at_source",
]


def location_of(version: StoredVersion) -> KeyLocation:
    """Return where and how the state says that a version is kept."""
    return KeyLocation(
        label=version.label,
        provider_uri=version.provider_uri,
        exportable=version.exportable,
        hsm_backed=version.hsm_backed,
    )


def place_at_source(record: KeyMigrationRecord) -> dict[str, Any]:
    """Return the fields of a version that is kept at the source of a migration."""
    return _place(record.source_backend_id, record.source_provider, record.source_location)


def place_at_destination(record: KeyMigrationRecord) -> dict[str, Any]:
    """Return the fields of a version that is kept at the destination of a migration that was carried out."""
    if record.destination_location is None:
        raise IntegrityError(f"migration {record.migration_id} does not say where the key went")
    return _place(record.destination_backend_id, record.destination_provider, record.destination_location)


def _place(backend_id: str, provider: str, location: KeyLocation) -> dict[str, Any]:
    return {"backend_id": backend_id, "backend_type": provider, **location.model_dump()}


def at_source(record: KeyMigrationRecord, version: StoredVersion) -> StoredVersion:
    """Return the version as the source keeps it, whatever became of it elsewhere."""
    return structs.replace(version, **place_at_source(record), destroyed_at=None)


def at_destination(record: KeyMigrationRecord, version: StoredVersion) -> StoredVersion:
    """Return the version as the destination keeps it, whatever became of it elsewhere."""
    return structs.replace(version, **place_at_destination(record), destroyed_at=None)


def disable_at_source(instance: Instance, key: StoredKey, record: KeyMigrationRecord, version: StoredVersion) -> None:
    """Let the source use the key no more, once another place does. One that is needed to decrypt stays enabled."""
    signs = get_algorithm(algorithm_of(key, version)).signs
    if signs or record.strategy is MigrationStrategy.WRAPPED:
        disable_in_backend(instance, key, (at_source(record, version),))
