"""Records to put into the state, and an instance with something in every table."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from keyclave.models import (
    SOURCE_RETENTION,
    AuthenticationMethod,
    AvailabilityStatus,
    BackendHealth,
    CryptographicBackend,
    EnvironmentConfiguration,
    EnvironmentType,
    FallbackPolicyConfiguration,
    HealthCheckResult,
    KeyLocation,
    KeyMigrationRecord,
    KeyStatus,
    MigrationApproval,
    MigrationPlan,
    MigrationStatus,
    MigrationStrategy,
    PlannedMigration,
    RotationPolicy,
    SecurityLevel,
)
from keyclave.state.records import AuditHead, AuditRow, StoredIntent, StoredKey, StoredVersion
from keyclave.state.store import Store

from core.tests.databases import Place

__all__ = [
    "APPROVAL",
    "BACKEND",
    "ENVIRONMENT",
    "HEALTH",
    "MIGRATION",
    "NOW",
    "PLAN",
    "add_migration",
    "new_intent",
    "new_key",
    "new_version",
    "populate",
    "populate_all",
]

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ENVIRONMENT = EnvironmentConfiguration(
    environment_type=EnvironmentType.LOCAL,
    required_security_level=SecurityLevel.SOFTWARE,
    fallback_policy=FallbackPolicyConfiguration(enabled=True, max_fallback_duration=timedelta(minutes=1)),
    created_at=NOW,
    updated_at=NOW,
    created_by="tester",
)
BACKEND = CryptographicBackend(
    backend_id="software",
    provider_type="software",
    environment_type=EnvironmentType.LOCAL,
    security_level=SecurityLevel.SOFTWARE,
    configuration={"directory": "somewhere"},
    last_health_check=NOW,
    health_check_status=HealthCheckResult(
        status=AvailabilityStatus.AVAILABLE, checked_at=NOW, latency=timedelta(milliseconds=3)
    ),
    authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
)
HEALTH = BackendHealth(
    backend_id="software",
    availability_status=AvailabilityStatus.DEGRADED,
    last_health_check=NOW,
    health_check_status=BACKEND.health_check_status,
    failures=1,
    circuit_opened_at=NOW,
)
PLAN = MigrationPlan.of(
    plan_id=UUID(int=8),
    destination_backend_id="hsm",
    destination_provider="pkcs11-hsm",
    destination_level=SecurityLevel.HSM,
    requested_by="tester",
    created_at=NOW,
    exception=None,
    versions=(
        PlannedMigration(
            key_id=UUID(int=9),
            key_name="k",
            version=1,
            algorithm="ECDSA_P256",
            source_backend_id="software",
            source_provider="software",
            strategy=MigrationStrategy.WRAPPED,
            reason="both sides can",
            requires=SecurityLevel.SOFTWARE,
            method="RSA_AES_KEY_WRAP_SHA256",
            wrapping_key_origin="1" * 64,
        ),
    ),
)
APPROVAL = MigrationApproval(
    approval_id=UUID(int=10),
    plan_id=PLAN.plan_id,
    plan_hash=PLAN.plan_hash,
    approved_by="another",
    approved_at=NOW,
    approval_justification="audited",
    expires_at=NOW + timedelta(hours=24),
)
MIGRATION = KeyMigrationRecord(
    migration_id=UUID(int=7),
    plan_id=PLAN.plan_id,
    key_name="k",
    key_version=1,
    strategy=MigrationStrategy.WRAPPED,
    source_backend_id="software",
    source_provider="software",
    destination_backend_id="hsm",
    destination_provider="pkcs11-hsm",
    migrated_at=NOW,
    completed_at=NOW,
    source_retained_until=NOW + SOURCE_RETENTION,
    source_key_id=str(UUID(int=9)),
    source_location=KeyLocation(
        label="label-1", provider_uri=f"software:{'0' * 32}", exportable=True, hsm_backed=False
    ),
    source_required_level=SecurityLevel.SOFTWARE,
    destination_key_id=str(UUID(int=9)),
    destination_version=1,
    destination_location=KeyLocation(
        label="label-2", provider_uri="pkcs11:id=%01", exportable=False, hsm_backed=False
    ),
    integrity_hash="0" * 64,
    cryptographic_proof=b"\x00\xff proof",
    administrative_approval=APPROVAL.record(),
    status=MigrationStatus.COMPLETED,
)


def new_key(name: str = "k", **fields: Any) -> StoredKey:
    defaults: dict[str, Any] = {
        "key_id": uuid.uuid4(),
        "algorithm": "ECDSA_P256",
        "owner_principal": "tester",
        "created_at": NOW,
        "required_security_level": SecurityLevel.SOFTWARE,
        "rotation_policy": RotationPolicy(),
        "minimum_rotation_interval": None,
    }
    return StoredKey(name=name, **{**defaults, **fields})


def new_version(key: StoredKey, version: int = 1, **fields: Any) -> StoredVersion:
    defaults: dict[str, Any] = {
        "status": KeyStatus.ACTIVE,
        "backend_id": "software",
        "backend_type": "software",
        "label": f"label-{version}",
        "provider_uri": f"software:{key.key_id.hex}",
        "public_key": b"spki",
        "exportable": False,
        "hsm_backed": False,
        "created_at": NOW,
        "last_rotation_at": None,
        "next_rotation_at": None,
        "not_destroy_before": None,
        "destroyed_at": None,
    }
    return StoredVersion(key_id=key.key_id, version=version, **{**defaults, **fields})


def new_intent(key: StoredKey, **fields: Any) -> StoredIntent:
    defaults: dict[str, Any] = {
        "operation_id": uuid.uuid4(),
        "kind": "rotate",
        "step": "begun",
        "key_id": key.key_id,
        "from_version": 1,
        "to_version": 2,
        "backend_id": "software",
        "label": "label-2",
        "parameters": {"owner": "somebody"},
        "principal": "tester",
        "created_at": NOW,
        "updated_at": NOW,
        "outcome": None,
    }
    return StoredIntent(**{**defaults, **fields})


def add_migration(store: Store) -> None:
    """Put a plan, its approval and the migration that it was used for into the state."""
    with store.write() as state:
        state.plans.add(PLAN)
        state.approvals.put(APPROVAL)
        state.approvals.put(APPROVAL.model_copy(update={"consumed_at": NOW}))
        state.migrations.put(MIGRATION)


def populate_all(place: Place) -> None:
    """Put something into every table: what `populate` does, and a plan, its approval and a completed migration."""
    populate(place)
    with contextlib.closing(place.open()) as store:
        add_migration(store)


def populate(place: Place) -> None:
    """Put something into every table that revision 0001 has, but migrations.

    Key ``k`` has versions 1 (ACTIVE, with a retention) and 2 (PENDING); there are an open and a closed intent, two
    audit records, one environment and one backend.
    """
    key = new_key()
    closed = new_intent(key)
    with contextlib.closing(place.open()) as store, store.write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key, not_destroy_before=NOW))
        state.keys.add_version(new_version(key, 2, status=KeyStatus.PENDING))
        state.intents.add(new_intent(key))
        state.intents.add(closed)
        state.intents.close(closed.operation_id, "done")
        rows = [_row(sequence, key) for sequence in (1, 2)]
        state.audit.append(rows, AuditHead(sequence=2, hash=rows[-1].hash))
        state.environments.put(ENVIRONMENT)
        state.backends.put(BACKEND)


def _row(sequence: int, key: StoredKey) -> AuditRow:
    return AuditRow(
        sequence=sequence,
        operation_id=uuid.uuid4(),
        occurred_at=sequence,
        key_reference=str(key.key_id),
        record=b"{}",
        hash=bytes([sequence]) * 32,
    )
