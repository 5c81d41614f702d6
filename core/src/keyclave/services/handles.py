"""Stored rows as what callers and backends see of them."""

from __future__ import annotations

from keyclave.models import KeyHandle, KeySecurityProperties, KeyStatus, get_algorithm
from keyclave.plugin import KeyLabel, KeyReference
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["algorithm_of", "current", "is_wrappable", "to_handle", "to_reference"]


def algorithm_of(key: StoredKey, version: StoredVersion) -> str:
    """Return the algorithm of a version: a rotation may have changed it."""
    return version.own_algorithm or key.algorithm


def is_wrappable(version: StoredVersion) -> bool:
    """Return whether its backend can release a version, wrapped, for a migration."""
    return version.exportable


def to_handle(key: StoredKey, version: StoredVersion) -> KeyHandle:
    """Return the public handle of a version."""
    return KeyHandle(
        key_id=key.key_id,
        name=key.name,
        version=version.version,
        algorithm=algorithm_of(key, version),
        created_at=version.created_at,
        last_rotation_at=version.last_rotation_at,
        next_rotation_at=version.next_rotation_at,
        provider_uri=version.provider_uri,
        security_properties=KeySecurityProperties(
            exportable=is_wrappable(version) and not version.hsm_backed,
            hsm_backed=version.hsm_backed,
            wrappable=is_wrappable(version),
            allowed_operations=get_algorithm(algorithm_of(key, version)).operations,
            minimum_rotation_interval=key.minimum_rotation_interval,
        ),
        backend_id=version.backend_id,
        backend_type=version.backend_type,
        status=version.status,
        owner_principal=key.owner_principal,
        not_destroy_before=version.not_destroy_before,
        destroyed_at=version.destroyed_at,
        validation_ends_at=version.validation_ends_at,
    )


def to_reference(key: StoredKey, version: StoredVersion) -> KeyReference:
    """Return what the backend needs to address a version."""
    return KeyReference(
        label=KeyLabel.parse(version.label), uri=version.provider_uri, algorithm=algorithm_of(key, version)
    )


def current(versions: tuple[StoredVersion, ...]) -> StoredVersion:
    """Return the version that stands for the key: the ACTIVE one, or the newest where none is active."""
    return next((v for v in versions if v.status is KeyStatus.ACTIVE), versions[-1])
