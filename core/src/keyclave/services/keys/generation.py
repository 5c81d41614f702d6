"""Make one key version in a backend, and check what came back before it is recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from keyclave.backends.backend import Backend
from keyclave.models import KeyStatus
from keyclave.plugin import CreatedKey, CreateKeyRequest, KeyLabel
from keyclave.services.instance import Instance
from keyclave.services.recording import Operation
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["generate", "label_for", "next_rotation", "to_row"]

_ROTATED = (KeyStatus.ACTIVE, KeyStatus.STANDBY)
"""What is rotated when it is old enough, and so is made with a date."""


def label_for(instance: Instance, operation: Operation, key_id: UUID, version: int) -> KeyLabel:
    """Return the label of the version that an operation makes."""
    return KeyLabel(
        instance_id=instance.instance_id,
        key_id=key_id,
        version=version,
        operation_id=operation.operation_id,
    )


def generate(
    operation: Operation,
    key: StoredKey,
    backend: Backend,
    label: KeyLabel,
    *,
    algorithm: str,
    exportable: bool,
    status: KeyStatus,
) -> StoredVersion:
    """Create the version that ``label`` names in the backend, and return the row that records it."""
    created = backend.create_key(CreateKeyRequest(label=label, algorithm=algorithm, exportable=exportable))
    operation.provider_reference = created.provider_reference
    return to_row(key, backend, created, status)


def next_rotation(key: StoredKey, since: datetime) -> datetime | None:
    """Return when a key that was rotated or created at ``since`` is due (FR-022), and may be rotated (FR-017)."""
    policy = key.rotation_policy
    if not policy.automatic_rotation_enabled or policy.rotation_interval is None:
        return None
    return since + max(policy.rotation_interval, key.minimum_rotation_interval or timedelta(0))


def to_row(key: StoredKey, backend: Backend, created: CreatedKey, status: KeyStatus) -> StoredVersion:
    """Return the row that records a version which the backend keeps from now on."""
    now = datetime.now(UTC)
    algorithm = created.reference.algorithm
    return StoredVersion(
        key_id=key.key_id,
        version=created.reference.label.version,
        status=status,
        backend_id=backend.id,
        backend_type=backend.provider_type,
        label=str(created.reference.label),
        provider_uri=created.reference.uri,
        public_key=created.public_key,
        exportable=created.exportable,
        hsm_backed=created.hsm_backed,
        created_at=now,
        last_rotation_at=None,
        next_rotation_at=next_rotation(key, now) if status in _ROTATED else None,
        not_destroy_before=None,
        destroyed_at=None,
        own_algorithm=None if algorithm == key.algorithm else algorithm,
    )
