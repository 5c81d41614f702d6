"""One valid instance of each model, as the arguments that make it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from keyclave.models import (
    ApprovalRecord,
    AuditConfiguration,
    BackendHealth,
    CryptographicBackend,
    CryptographicOperation,
    EnvironmentConfiguration,
    FallbackPolicyConfiguration,
    HealthCheckResult,
    KeyHandle,
    KeyLocation,
    KeyMigrationRecord,
    KeySecurityProperties,
    MigrationApproval,
    MigrationPlan,
    PlannedMigration,
    RotationPolicy,
    SecurityLevel,
)
from keyclave.models.base import Model
from pydantic import ValidationError

M = TypeVar("M", bound=Model)
T = datetime(2025, 6, 1, 12, tzinfo=UTC)
DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
WRAPPED_SHA256 = "0123456789abcdef" * 4
APPROVAL: dict[str, Any] = {"approved_by": "bob", "approved_at": T}
PROPERTIES: dict[str, Any] = {"exportable": False, "hsm_backed": True, "allowed_operations": ("SIGN", "VERIFY")}
LOCATION: dict[str, Any] = {
    "label": "keyclave:label",
    "provider_uri": "pkcs11:id=%01",
    "exportable": True,
    "hsm_backed": False,
}
COMPLETED: dict[str, Any] = {
    "status": "COMPLETED",
    "completed_at": T + DAY,
    "source_retained_until": T + 31 * DAY,
    "destination_key_id": "key-2",
    "destination_version": 1,
    "destination_location": LOCATION,
    "integrity_hash": WRAPPED_SHA256,
    "cryptographic_proof": b"\xff\x00 two signatures",
}

PLANNED: dict[str, Any] = {
    "key_id": UUID(int=6),
    "key_name": "release",
    "version": 1,
    "algorithm": "ED25519",
    "source_backend_id": "old",
    "source_provider": "software",
    "strategy": "WRAPPED",
    "reason": "both sides can",
    "requires": "SOFTWARE",
}
PLAN: dict[str, Any] = {
    "plan_id": UUID(int=4),
    "destination_backend_id": "new",
    "destination_provider": "aws",
    "destination_level": SecurityLevel.SOFTWARE,
    "requested_by": "alice",
    "created_at": T,
    "exception": None,
    "versions": (PlannedMigration(**PLANNED),),
}

VALID: dict[type[Model], dict[str, Any]] = {
    EnvironmentConfiguration: {
        "environment_type": "production",
        "required_security_level": "HSM",
        "created_at": T,
        "updated_at": T,
        "created_by": "alice",
    },
    FallbackPolicyConfiguration: {},
    AuditConfiguration: {},
    CryptographicBackend: {
        "backend_id": "vault-1",
        "provider_type": "azure",
        "environment_type": "production",
        "security_level": "HSM",
        "security_evidence": ("the vault is of type Premium",),
        "connection_uri": "https://vault-1.example.net",
        "authentication_method": "MANAGED_IDENTITY",
    },
    BackendHealth: {"backend_id": "vault-1", "last_health_check": T},
    HealthCheckResult: {"status": "AVAILABLE", "checked_at": T, "latency": timedelta(milliseconds=3)},
    KeyHandle: {
        "key_id": UUID("5f0c91a6-6f0b-4a2e-9a56-0d6f4dbf5c11"),
        "name": "signing",
        "version": 1,
        "algorithm": "ECDSA_P256",
        "created_at": T,
        "provider_uri": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "security_properties": PROPERTIES,
        "backend_id": "kms",
        "backend_type": "aws",
        "owner_principal": "alice",
    },
    KeySecurityProperties: PROPERTIES,
    CryptographicOperation: {
        "operation_id": UUID(int=1),
        "operation_type": "SIGN",
        "key_handle_reference": "5f0c91a6-6f0b-4a2e-9a56-0d6f4dbf5c11",
        "timestamp": T,
        "requesting_principal": "alice",
        "status": "SUCCESS",
        "duration": timedelta(milliseconds=2),
        "audit_trail_reference": "urn:keyclave:audit:1:2",
        "backend_id": "kms",
        "backend_type": "aws",
    },
    KeyMigrationRecord: {
        "migration_id": UUID(int=2),
        "plan_id": UUID(int=4),
        "key_name": "release",
        "key_version": 1,
        "strategy": "WRAPPED",
        "source_backend_id": "old",
        "source_provider": "pkcs11-hsm",
        "destination_backend_id": "new",
        "destination_provider": "aws",
        "migrated_at": T,
        "source_key_id": "key-1",
        "source_location": LOCATION,
        "source_required_level": "SOFTWARE",
        "administrative_approval": APPROVAL,
    },
    ApprovalRecord: APPROVAL,
    KeyLocation: LOCATION,
    PlannedMigration: PLANNED,
    MigrationPlan: {**PLAN, "plan_hash": MigrationPlan.of(**PLAN).plan_hash},
    MigrationApproval: {
        **APPROVAL,
        "approval_id": UUID(int=5),
        "plan_id": UUID(int=4),
        "plan_hash": WRAPPED_SHA256,
        "expires_at": T + DAY,
    },
    RotationPolicy: {},
}


def build(model: type[M], changes: dict[str, Any] | None = None) -> M:
    """Return the valid instance with some arguments changed; a plan has its hash, unless that is changed."""
    arguments = {**VALID[model], **(changes or {})}
    if model is MigrationPlan and "plan_hash" not in (changes or {}):
        arguments["plan_hash"] = MigrationPlan.model_construct(**arguments).computed_hash()
    return model(**arguments)


def broken(error: ValidationError) -> set[tuple[str, str]]:
    """The rules that an error names, each with its field."""
    return {
        (found["ctx"]["rule"], found["ctx"]["field"])
        if found["type"] == "rule"
        else (found["type"], ".".join(part for part in found["loc"] if isinstance(part, str)))
        for found in error.errors()
    }
