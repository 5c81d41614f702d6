"""The rules of the data model: one row each, in the order of its sections, to be ticked off against it.

``RULES`` are those that the models enforce. ``ELSEWHERE`` are those that no single record can show, with the place
that enforces them.
"""

# ruff: noqa: E501  a row is a line, so that the tables read as tables

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import keyclave
import pytest
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
    KeyMigrationRecord,
    KeySecurityProperties,
    MigrationApproval,
    MigrationPlan,
    PlannedMigration,
    RotationPolicy,
)
from keyclave.models.base import Model
from pydantic import ValidationError

from core.tests.models.examples import COMPLETED, DAY, PLAN, PLANNED, PROPERTIES, TICK, VALID, T, broken, build

ENV, FALLBACK, AUDIT = EnvironmentConfiguration, FallbackPolicyConfiguration, AuditConfiguration
BACKEND, HEALTH, HEALTH_NOW = CryptographicBackend, HealthCheckResult, BackendHealth
KEY, SECURITY = KeyHandle, KeySecurityProperties
OPERATION = CryptographicOperation
MIGRATION, APPROVAL = KeyMigrationRecord, ApprovalRecord
POLICY = RotationPolicy
NAIVE = datetime(2025, 6, 1, 12)  # noqa: DTZ001  a time without a zone is what must be refused
LATER = T + 500 * DAY
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
BEFORE_UTC = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
BEYOND_UTC = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))
SOON = datetime.now(UTC) + timedelta(hours=1)
STAGING = {"environment_type": "staging", "required_security_level": "TPM"}
LOCAL_CLOUD = {"environment_type": "local"}
SOFTWARE = {"provider_type": "software", "security_level": "SOFTWARE", "authentication_method": "PROCESS_IDENTITY"}
UNAVAILABLE = {"availability_status": "UNAVAILABLE"}
PKCS11 = {"provider_type": "pkcs11-hsm"}
KUBERNETES = {"provider_type": "k8s", "authentication_method": "SERVICE_ACCOUNT"}
REKEYED = {**COMPLETED, "strategy": "REKEYED", "integrity_hash": None}
FAILED = {"status": "FAILED", "error_message": "the destination refused"}
ROLLED_BACK = {"status": "ROLLED_BACK", "rollback_reason": "it is too slow", "destination_gone_at": T}
PLANS, APPROVED = MigrationPlan, MigrationApproval
TWICE: dict[str, Any] = {"versions": (PlannedMigration(**PLANNED),) * 2}
TWICE["plan_hash"] = MigrationPlan.model_construct(**{**PLAN, **TWICE}).computed_hash()


class Rule(NamedTuple):
    """One rule: where it stands, the nearest that it allows, what breaks it, and how the error names it."""

    source: str
    text: str
    model: type[Model]
    valid: dict[str, Any]
    violation: dict[str, Any]
    rule: str
    field: str


RULES = [
    # 1. EnvironmentConfiguration
    Rule("1 property EnvironmentType", "one of the defined values", ENV, {}, {"environment_type": "test"}, "enum", "environment_type"),
    Rule("1 property RequiredSecurityLevel", "HSM, TPM or SOFTWARE", ENV, STAGING, {"required_security_level": "FIPS"}, "enum", "required_security_level"),
    Rule("1 property RequiredSecurityLevel; business rule 1 (FR-014)", "HSM in production", ENV, STAGING, {"required_security_level": "TPM"}, "FR-014", "required_security_level"),
    Rule("1 property AllowedBackendTypes", "not empty", ENV, {"allowed_backend_types": ("aws",)}, {"allowed_backend_types": ()}, "too_short", "allowed_backend_types"),
    Rule("1 property AllowedBackendTypes", "valid names", ENV, {"allowed_backend_types": ("acme-hsm",)}, {"allowed_backend_types": ("aws", "Acme HSM")}, "string_pattern_mismatch", "allowed_backend_types"),
    Rule("1 property BackendPrecedenceOrder; invariant 1 (FR-021)", "at least one", ENV, {"backend_precedence_order": ("aws",)}, {"backend_precedence_order": ()}, "FR-021", "backend_precedence_order"),
    Rule("1 property BackendPrecedenceOrder", "valid names", ENV, {"backend_precedence_order": ("acme-hsm",)}, {"backend_precedence_order": ("aws", "")}, "string_pattern_mismatch", "backend_precedence_order"),
    Rule("1 property KeyRotationInterval; business rule 4 (FR-022)", "at least 1 day", ENV, {"key_rotation_interval": DAY}, {"key_rotation_interval": DAY - TICK}, "FR-022", "key_rotation_interval"),
    Rule("1 property KeyRotationInterval; business rule 4 (FR-022)", "at most 365 days", ENV, {"key_rotation_interval": 365 * DAY}, {"key_rotation_interval": 365 * DAY + TICK}, "FR-022", "key_rotation_interval"),
    Rule("1 invariant 2", "an interval is not negative", ENV, {"key_rotation_interval": None}, {"key_rotation_interval": -DAY}, "FR-022", "key_rotation_interval"),
    Rule("1 property CreatedAt", "UTC", ENV, {"created_at": T}, {"created_at": NAIVE}, "timezone_aware", "created_at"),
    Rule("1 property UpdatedAt", "UTC", ENV, {"updated_at": T + TICK}, {"updated_at": NAIVE}, "timezone_aware", "updated_at"),
    Rule("1 property CreatedAt", "a time that UTC can show", ENV, {"created_at": FIRST}, {"created_at": BEFORE_UTC}, "utc", "created_at"),
    Rule("1 property UpdatedAt", "a time that UTC can show", ENV, {"updated_at": LAST}, {"updated_at": BEYOND_UTC}, "utc", "updated_at"),
    Rule("1 properties CreatedAt, UpdatedAt", "updated after created", ENV, {"updated_at": T}, {"updated_at": T - TICK}, "timestamps", "updated_at"),
    Rule("1 property CreatedBy", "not empty", ENV, {"created_by": "x"}, {"created_by": " "}, "string_too_short", "created_by"),
    Rule("1 AuditRequirements (FR-010)", "on in production", ENV, {**STAGING, "audit_requirements": {"enable_audit_logging": False}}, {"audit_requirements": {"enable_audit_logging": False}}, "FR-010", "audit_requirements"),
    Rule("1 nested FallbackPolicy.WarningLevel", "WARNING or ERROR", FALLBACK, {"warning_level": "ERROR"}, {"warning_level": "INFO"}, "literal_error", "warning_level"),
    Rule("1 nested FallbackPolicy.MaxFallbackDuration", "a duration, or unlimited", FALLBACK, {"max_fallback_duration": TICK}, {"max_fallback_duration": timedelta(0)}, "FR-024", "max_fallback_duration"),
    Rule("1 nested Audit.RetentionPeriod; invariant 3", "at least 90 days", AUDIT, {"retention_period": 90 * DAY}, {"retention_period": 90 * DAY - TICK}, "retention", "retention_period"),
    Rule("1 nested Audit.RedactSensitiveData (FR-013)", "always on", AUDIT, {"redact_sensitive_data": True}, {"redact_sensitive_data": False}, "FR-013", "redact_sensitive_data"),
    # 2. CryptographicBackend
    Rule("2 property BackendId", "not empty", BACKEND, {"backend_id": "v"}, {"backend_id": ""}, "string_pattern_mismatch", "backend_id"),
    Rule("2 property BackendId", "a GUID or an identifier", BACKEND, {"backend_id": str(UUID(int=3))}, {"backend_id": "a b"}, "string_pattern_mismatch", "backend_id"),
    Rule("2 property ProviderType", "a valid name", BACKEND, {"provider_type": "acme-hsm"}, {"provider_type": "ACME"}, "string_pattern_mismatch", "provider_type"),
    Rule("2 property SecurityLevel", "one of the defined values", BACKEND, {}, {"security_level": "FIPS"}, "enum", "security_level"),
    Rule("2 property AvailabilityStatus", "one of the defined values", BACKEND, {"availability_status": "AVAILABLE"}, {"availability_status": "BUSY"}, "enum", "availability_status"),
    Rule("2 property Configuration", "text to text", BACKEND, {"configuration": {"region": "eu"}}, {"configuration": {"port": 443}}, "string_type", "configuration.port"),
    Rule("2 property Configuration", "text that can be written", BACKEND, {"configuration": {"region": "\U0001f511"}}, {"configuration": {"region": "\ud83d"}}, "string_unicode", "configuration.region"),
    Rule("2 property LastHealthCheck", "UTC", BACKEND, {"last_health_check": T}, {"last_health_check": NAIVE}, "timezone_aware", "last_health_check"),
    Rule("2 property HealthCheckStatus", "a result", BACKEND, {"health_check_status": VALID[HEALTH]}, {"health_check_status": "good"}, "model_type", "health_check_status"),
    Rule("2 HealthCheckResult", "UTC", HEALTH, {"checked_at": T}, {"checked_at": NAIVE}, "timezone_aware", "checked_at"),
    Rule("2 HealthCheckResult", "no negative latency", HEALTH, {"latency": timedelta(0)}, {"latency": -TICK}, "FR-016", "latency"),
    Rule("2 BackendHealth (FR-016)", "passes or failures", HEALTH_NOW, {"passes": 2}, {"failures": 1, "passes": 1}, "FR-016", "passes"),
    Rule("2 property ConnectionString", "a URI for a cloud", BACKEND, {"connection_uri": "https://v.example"}, {"connection_uri": "v.example"}, "connection-uri", "connection_uri"),
    *(
        Rule("2 property ConnectionString", f"a URI {problem}", BACKEND, {"connection_uri": "https://v.example:8443/a"}, {"connection_uri": uri}, "connection-uri", "connection_uri")
        for problem, uri in (
            ("with a host", "https://:8443/a"),
            ("with a port that exists", "https://v.example:84430/a"),
            ("without spaces", "https://v.example/a b"),
            ("on one line", "https://v.example/a\nb"),
            ("without credentials", "https://user:password@v.example/a"),
        )
    ),
    Rule("2 property ConnectionString", "a URI that can be read", BACKEND, {"connection_uri": "https://[::1]"}, {"connection_uri": "https://[::1"}, "connection-uri", "connection_uri"),
    Rule("2 property AuthenticationMethod", "one of the defined values", BACKEND, {}, {"authentication_method": "PASSWORD"}, "enum", "authentication_method"),
    Rule("2 business rule 1 (FR-001); contradiction 4", "a cloud is HSM, or evidence says what it is", BACKEND, {**LOCAL_CLOUD, "security_level": "SOFTWARE"}, {**LOCAL_CLOUD, "security_level": "SOFTWARE", "security_evidence": ()}, "FR-001", "security_level"),
    Rule("2 business rule 1 (FR-001); contradiction 4", "a cloud in production is HSM", BACKEND, {}, {"security_level": "SOFTWARE"}, "FR-001", "security_level"),
    Rule("2 business rule 1 (FR-003)", "a level rests on evidence", BACKEND, {}, {"security_evidence": ()}, "FR-003", "security_evidence"),
    Rule("2 business rule 1 (FR-003)", "so does a TPM", BACKEND, {**SOFTWARE, "provider_type": "tpm", "security_level": "TPM"}, {**SOFTWARE, "provider_type": "tpm", "security_level": "TPM", "security_evidence": ()}, "FR-003", "security_evidence"),
    Rule("2 business rule 3 (FR-023)", "a cloud uses managed identity", BACKEND, {}, {"authentication_method": "API_KEY"}, "FR-023", "authentication_method"),
    Rule("2 business rule 3 (FR-023)", "Kubernetes uses a service account", BACKEND, KUBERNETES, {"provider_type": "k8s"}, "FR-023", "authentication_method"),
    Rule("2 enum AuthenticationType (FR-023)", "an API key is discouraged", BACKEND, {**PKCS11, "authentication_method": "CERTIFICATE"}, {**PKCS11, "authentication_method": "API_KEY"}, "FR-023", "authentication_method"),
    Rule("2 business rule 3 (FR-023); contradiction 5", "enforced in staging", BACKEND, {"environment_type": "staging"}, {"environment_type": "staging", "authentication_method": "CERTIFICATE"}, "FR-023", "authentication_method"),
    *(
        Rule("2 invariant 2 (FR-003)", f"{name} is no HSM", BACKEND, {**SOFTWARE, "provider_type": name}, {**SOFTWARE, "provider_type": name, "security_level": "HSM"}, "FR-003", "security_level")
        for name in ("os-keychain", "browser", "software", "tpm")
    ),
    Rule("2 invariant 2; contradiction 1", "pkcs11-hsm may be HSM, with evidence", BACKEND, {"provider_type": "pkcs11-hsm"}, {"provider_type": "pkcs11-hsm", "security_evidence": ()}, "FR-003", "security_evidence"),
    Rule("2 invariant 2", "Kubernetes is HSM with evidence of an external KMS", BACKEND, KUBERNETES, {**KUBERNETES, "security_evidence": ()}, "FR-003", "security_evidence"),
    Rule("2 invariant 3 (FR-016)", "checked if unavailable", BACKEND, {**UNAVAILABLE, "last_health_check": T}, UNAVAILABLE, "FR-016", "last_health_check"),
    Rule("2 invariant 3 (FR-016)", "checked if degraded", BACKEND, {"availability_status": "DEGRADED", "last_health_check": T}, {"availability_status": "DEGRADED"}, "FR-016", "last_health_check"),
    Rule("2 design: simulators", "none in production", BACKEND, {"environment_type": "staging", "accept_simulator": True}, {"accept_simulator": True}, "FR-014", "accept_simulator"),
    # 3. KeyHandle
    Rule("3 property KeyId", "a GUID", KEY, {"key_id": str(UUID(int=4))}, {"key_id": "key"}, "uuid_parsing", "key_id"),
    Rule("3 property KeyId", "not empty", KEY, {}, {"key_id": ""}, "uuid_parsing", "key_id"),
    Rule("3 design: name", "lower case, digits, . _ -", KEY, {"name": "a.b_c-1"}, {"name": "Signing"}, "string_pattern_mismatch", "name"),
    Rule("3 design: name", "not empty", KEY, {"name": "a"}, {"name": ""}, "string_pattern_mismatch", "name"),
    Rule("3 design: name", "at most 128 characters", KEY, {"name": "a" * 128}, {"name": "a" * 129}, "string_pattern_mismatch", "name"),
    Rule("3 property Version", ">= 1", KEY, {"version": 1}, {"version": 0}, "greater_than_equal", "version"),
    Rule("3 property Version", "what a database holds", KEY, {"version": 2**31 - 1}, {"version": 2**31}, "less_than_equal", "version"),
    Rule("3 property Algorithm", "registered", KEY, {"algorithm": "ED25519"}, {"algorithm": "RSA_1024"}, "algorithm", "algorithm"),
    Rule("3 property CreationTimestamp", "UTC", KEY, {"created_at": T}, {"created_at": NAIVE}, "timezone_aware", "created_at"),
    Rule("3 property LastRotationTimestamp", "UTC", KEY, {"last_rotation_at": T}, {"last_rotation_at": NAIVE}, "timezone_aware", "last_rotation_at"),
    Rule("3 property LastRotationTimestamp", "not before creation", KEY, {"last_rotation_at": T}, {"last_rotation_at": T - TICK}, "timestamps", "last_rotation_at"),
    Rule("3 property NextScheduledRotationDate", "UTC", KEY, {"next_rotation_at": LATER}, {"next_rotation_at": NAIVE}, "timezone_aware", "next_rotation_at"),
    Rule("3 business rule 2 (FR-022)", "after creation", KEY, {"next_rotation_at": T + TICK}, {"next_rotation_at": T}, "FR-022", "next_rotation_at"),
    Rule("3 business rule 2 (FR-022)", "after the last rotation", KEY, {"last_rotation_at": T + DAY, "next_rotation_at": T + DAY + TICK}, {"last_rotation_at": T + DAY, "next_rotation_at": T + DAY}, "FR-022", "next_rotation_at"),
    Rule("3 property ProviderSpecificUri", "not empty", KEY, {}, {"provider_uri": " "}, "string_too_short", "provider_uri"),
    Rule("3 property ProviderSpecificUri", "a valid URI for any backend", KEY, {"backend_type": "acme-hsm", "provider_uri": "acme:7"}, {"backend_type": "acme-hsm", "provider_uri": "key 7"}, "provider-uri", "provider_uri"),
    Rule("3 property BackendType", "a valid name", KEY, {}, {"backend_type": "AWS"}, "string_pattern_mismatch", "backend_type"),
    Rule("3 property BackendType", "the backend instance", KEY, {"backend_id": "kms-2"}, {"backend_id": ""}, "string_pattern_mismatch", "backend_id"),
    Rule("3 property Status", "one of the defined values", KEY, {"status": "PENDING"}, {"status": "DESTROYED"}, "enum", "status"),
    Rule("3 property OwnerPrincipal", "not empty", KEY, {"owner_principal": "x"}, {"owner_principal": "\t"}, "string_too_short", "owner_principal"),
    Rule("3 design: retention", "UTC", KEY, {"not_destroy_before": T}, {"not_destroy_before": NAIVE}, "timezone_aware", "not_destroy_before"),
    Rule("3 design: destruction", "UTC", KEY, {"destroyed_at": T}, {"destroyed_at": NAIVE}, "timezone_aware", "destroyed_at"),
    Rule("3 design: validation period", "of a pending version", KEY, {"status": "PENDING", "validation_ends_at": T}, {"validation_ends_at": T}, "FR-017", "validation_ends_at"),
    Rule("3 nested AllowedOperations", "not empty", SECURITY, {"allowed_operations": ("SIGN",)}, {"allowed_operations": ()}, "too_short", "allowed_operations"),
    Rule("3 nested AllowedOperations", "defined values", SECURITY, {"allowed_operations": ("WRAP_KEY", "UNWRAP_KEY")}, {"allowed_operations": ("SIGN", "EXPORT")}, "enum", "allowed_operations"),
    Rule("3 nested AllowedOperations", "what the algorithm can do", KEY, {"algorithm": "AES_256", "security_properties": {**PROPERTIES, "allowed_operations": ("ENCRYPT",)}}, {"algorithm": "AES_256"}, "algorithm", "allowed_operations"),
    Rule("3 nested MinimumRotationInterval", "not negative", SECURITY, {"minimum_rotation_interval": timedelta(0)}, {"minimum_rotation_interval": -TICK}, "FR-022", "minimum_rotation_interval"),
    Rule("3 business rule 1 (FR-003, FR-004)", "not exportable from an HSM", SECURITY, {"exportable": True, "hsm_backed": False}, {"exportable": True}, "FR-003", "exportable"),
    Rule("3 invariant 2 (FR-017)", "a deprecated version was rotated", KEY, {"status": "DEPRECATED", "last_rotation_at": T}, {"status": "DEPRECATED"}, "FR-017", "last_rotation_at"),
    *(
        Rule("3 invariant 3", f"the URI of {name}", KEY, {"backend_type": name.partition(",")[0], "provider_uri": good}, {"backend_type": name.partition(",")[0], "provider_uri": bad}, "provider-uri", "provider_uri")
        for name, good, bad in (
            ("software", "software:" + "0a" * 16, "software:" + "0A" * 16),
            ("pkcs11-hsm", "pkcs11:token=a;id=%01", "pkcs12:token=a"),
            ("tpm", "tpm:0x81000001", "tpm:"),
            ("os-keychain", "os-keychain:keyclave.1", "os-keychain/keyclave"),
            ("aws", "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1", "arn:aws:kms:eu-central-1:1234:key/1"),
            ("azure", "https://v.vault.azure.net/keys/k/0a1b", "https://v.vault.azure.net/keys/k"),
            ("gcp", "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1", "projects/p/locations/l/keyRings/r/cryptoKeys/k"),
            ("gcp, in visible characters", "projects/a.com:p/locations/eu-1/keyRings/R_1/cryptoKeys/K-1/cryptoKeyVersions/1", "projects/p q\n/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"),
            ("k8s", "k8s:namespace/secret", "k8s:secret"),
            ("browser", "browser:peer-1", "webcrypto:peer-1"),
        )
    ),
    # 4. CryptographicOperation
    Rule("4 property OperationId", "a GUID", OPERATION, {"operation_id": str(UUID(int=5))}, {"operation_id": "1"}, "uuid_parsing", "operation_id"),
    Rule("4 property OperationType", "one of the defined values", OPERATION, {"operation_type": "ROTATE"}, {"operation_type": "EXPORT"}, "enum", "operation_type"),
    Rule("4 property KeyHandleReference", "not empty", OPERATION, {"key_handle_reference": "name:signing"}, {"key_handle_reference": ""}, "string_too_short", "key_handle_reference"),
    Rule("4 design: version", ">= 1", OPERATION, {"key_version": 1}, {"key_version": 0}, "greater_than_equal", "key_version"),
    Rule("4 design: version", "what a database holds", OPERATION, {"key_version": 2**31 - 1}, {"key_version": 2**31}, "less_than_equal", "key_version"),
    Rule("4 property Timestamp", "UTC", OPERATION, {"timestamp": T}, {"timestamp": NAIVE}, "timezone_aware", "timestamp"),
    Rule("4 property RequestingPrincipal", "not empty", OPERATION, {"requesting_principal": "x"}, {"requesting_principal": ""}, "string_too_short", "requesting_principal"),
    Rule("4 property Status", "one of the defined values", OPERATION, {"status": "PENDING"}, {"status": "DONE"}, "enum", "status"),
    Rule("4 property DurationMs; invariant 3", ">= 0", OPERATION, {"duration": timedelta(0)}, {"duration": -TICK}, "duration", "duration"),
    Rule("4 property BackendType", "a valid name", OPERATION, {"backend_type": "acme-hsm"}, {"backend_type": "ACME"}, "string_pattern_mismatch", "backend_type"),
    Rule("4 business rule 1 (FR-010)", "an audit reference for all but health checks", OPERATION, {"operation_type": "HEALTH_CHECK", "audit_trail_reference": None}, {"audit_trail_reference": None}, "FR-010", "audit_trail_reference"),
    *(
        Rule("4 business rule 3 (FR-013)", f"no key material: {form}", OPERATION, {"error_message": "key 5f0c91a6-6f0b-4a2e-9a56-0d6f4dbf5c11 is disabled"}, {"error_message": f"bad key {text}"}, "FR-013", "error_message")
        for form, text in (
            ("PEM", "-----BEGIN PRIVATE KEY-----"),
            ("hexadecimal", "0a" * 32),
            ("base64url", "AQIDBAUGBwgJCgsMDQ-PEBESExQVFhcYGRobHB0eHyA"),
            ("base64", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="),
        )
    ),
    Rule("4 invariant 1", "not in the future", OPERATION, {"timestamp": T}, {"timestamp": SOON}, "timestamps", "timestamp"),
    Rule("4 invariant 2", "a failure says why", OPERATION, {"status": "FAILED", "error_message": "refused"}, {"status": "FAILED"}, "error-message", "error_message"),
    # 5. KeyMigrationRecord
    Rule("5 property MigrationId", "a GUID", MIGRATION, {"migration_id": str(UUID(int=6))}, {"migration_id": "1"}, "uuid_parsing", "migration_id"),
    Rule("5 design: strategy; contradiction 3", "WRAPPED or REKEYED", MIGRATION, {"strategy": "REKEYED"}, {"strategy": "COPIED"}, "enum", "strategy"),
    Rule("5 property SourceProvider", "a valid name", MIGRATION, {"source_provider": "tpm"}, {"source_provider": "TPM"}, "string_pattern_mismatch", "source_provider"),
    Rule("5 property DestinationProvider", "a valid name", MIGRATION, {"destination_provider": "tpm"}, {"destination_provider": "TPM"}, "string_pattern_mismatch", "destination_provider"),
    Rule("5 property MigrationTimestamp", "UTC", MIGRATION, {"migrated_at": T}, {"migrated_at": NAIVE}, "timezone_aware", "migrated_at"),
    Rule("5 property CompletedTimestamp", "UTC", MIGRATION, COMPLETED, {**COMPLETED, "completed_at": NAIVE}, "timezone_aware", "completed_at"),
    Rule("5 property CompletedTimestamp", "null if in progress", MIGRATION, {**FAILED, "completed_at": T}, {"completed_at": T}, "FR-012", "completed_at"),
    Rule("5 property SourceKeyId", "not empty", MIGRATION, {"source_key_id": "k"}, {"source_key_id": ""}, "string_too_short", "source_key_id"),
    Rule("5 property DestinationKeyId", "not empty", MIGRATION, {"destination_key_id": "k"}, {"destination_key_id": ""}, "string_too_short", "destination_key_id"),
    Rule("5 property IntegrityHash", "64 hexadecimal digits", MIGRATION, {"integrity_hash": "ab" * 32}, {"integrity_hash": "ab" * 31}, "string_pattern_mismatch", "integrity_hash"),
    Rule("5 property IntegrityHash", "hexadecimal digits only", MIGRATION, {"integrity_hash": "ab" * 32}, {"integrity_hash": "xy" * 32}, "string_pattern_mismatch", "integrity_hash"),
    Rule("5 business rule 2", "a wrapped key has its hash", MIGRATION, REKEYED, {**REKEYED, "strategy": "WRAPPED"}, "FR-012", "integrity_hash"),
    Rule("5 property CryptographicProof; business rule 1 (FR-012); contradiction 2", "proof on completion", MIGRATION, COMPLETED, {**COMPLETED, "cryptographic_proof": b""}, "FR-012", "cryptographic_proof"),
    Rule("5 property Status", "one of the defined values", MIGRATION, {"status": "IN_PROGRESS"}, {"status": "DONE"}, "enum", "status"),
    Rule("5 nested ApprovedBy", "not empty", APPROVAL, {"approved_by": "x"}, {"approved_by": ""}, "string_too_short", "approved_by"),
    Rule("5 nested ApprovedAt", "UTC", APPROVAL, {"approved_at": T}, {"approved_at": NAIVE}, "timezone_aware", "approved_at"),
    Rule("5 business rule 3", "the source is kept for 30 days", MIGRATION, COMPLETED, {**COMPLETED, "source_retained_until": T + 31 * DAY - TICK}, "FR-012", "source_retained_until"),
    Rule("5 business rule 3", "kept for 30 days in the last year too", MIGRATION, {**COMPLETED, "completed_at": LAST - 30 * DAY, "source_retained_until": LAST}, {**COMPLETED, "completed_at": LAST, "source_retained_until": LAST}, "FR-012", "source_retained_until"),
    Rule("5 business rule 3", "and says until when", MIGRATION, COMPLETED, {**COMPLETED, "source_retained_until": None}, "FR-012", "source_retained_until"),
    Rule("5 business rule 3", "UTC", MIGRATION, COMPLETED, {**COMPLETED, "source_retained_until": NAIVE}, "timezone_aware", "source_retained_until"),
    Rule("5 invariant 1 (FR-012)", "source and destination differ", MIGRATION, {"destination_provider": "pkcs11-hsm"}, {"destination_backend_id": "old"}, "FR-012", "destination_backend_id"),
    Rule("5 invariant 2 (FR-012)", "completed with a destination key", MIGRATION, COMPLETED, {**COMPLETED, "destination_key_id": None}, "FR-012", "destination_key_id"),
    Rule("5 invariant 2 (FR-012)", "completed with a time", MIGRATION, COMPLETED, {**COMPLETED, "completed_at": None}, "FR-012", "completed_at"),
    Rule("5 invariant 3", "a failure says why", MIGRATION, FAILED, {"status": "FAILED"}, "error-message", "error_message"),
    Rule("5 invariant 4 (FR-012)", "not completed before it began", MIGRATION, {**COMPLETED, "completed_at": T}, {**COMPLETED, "completed_at": T - TICK}, "FR-012", "completed_at"),
    *(
        Rule("5 property Status", f"rolled back with {field}", MIGRATION, ROLLED_BACK, {**ROLLED_BACK, field: None}, "FR-012", field)
        for field in ("rollback_reason", "destination_gone_at")
    ),
    Rule("5 business rule 3", "the source is not retired earlier", MIGRATION, {**COMPLETED, "retired_at": T + 31 * DAY}, {**COMPLETED, "retired_at": T + 31 * DAY - TICK}, "FR-012", "retired_at"),
    Rule("5 business rule 3", "the source is retired of a completed one only", MIGRATION, FAILED, {**FAILED, "retired_at": LATER}, "FR-012", "retired_at"),
    Rule("5 property AdministrativeApproval (FR-012)", "an approval is of a plan as it is", PLANS, {}, {"plan_hash": "0" * 64}, "FR-012", "plan_hash"),
    Rule("5 property AdministrativeApproval (FR-012)", "a plan names each version once", PLANS, {}, TWICE, "FR-012", "versions"),
    Rule("5 property AdministrativeApproval (FR-012)", "an approval expires", APPROVED, {"expires_at": T + DAY}, {"expires_at": T + DAY + TICK}, "FR-012", "expires_at"),
    Rule("5 property AdministrativeApproval (FR-012)", "an approval is used before it expires", APPROVED, {"consumed_at": T + DAY}, {"consumed_at": T + DAY + TICK}, "FR-012", "consumed_at"),
    # 6. RotationPolicy
    Rule("6 property RotationInterval; invariant 2 (FR-022)", "at least 1 day", POLICY, {"rotation_interval": DAY}, {"rotation_interval": DAY - TICK}, "FR-022", "rotation_interval"),
    Rule("6 property RotationInterval; invariant 2 (FR-022)", "at most 365 days", POLICY, {"rotation_interval": 365 * DAY}, {"rotation_interval": 365 * DAY + TICK}, "FR-022", "rotation_interval"),
    Rule("6 property DeprecatedVersionRetentionPeriod; business rule 3; invariant 3", "at least 90 days", POLICY, {"deprecated_version_retention_period": 90 * DAY}, {"deprecated_version_retention_period": 90 * DAY - TICK}, "retention", "deprecated_version_retention_period"),
    Rule("6 property DeprecatedVersionRetentionPeriod", "at most 36525 days", POLICY, {"deprecated_version_retention_period": 36_525 * DAY}, {"deprecated_version_retention_period": timedelta.max}, "retention", "deprecated_version_retention_period"),
    Rule("6 property ValidationPeriod", "at most 365 days", POLICY, {"validation_period": 365 * DAY}, {"validation_period": 365 * DAY + TICK}, "FR-017", "validation_period"),
    Rule("6 property ValidationPeriod", "not negative", POLICY, {"validation_period": timedelta(0)}, {"validation_period": -TICK}, "FR-017", "validation_period"),
    Rule("6 invariant 1 (FR-022)", "automatic rotation needs an interval", POLICY, {"automatic_rotation_enabled": False, "rotation_interval": None}, {"rotation_interval": None}, "FR-022", "rotation_interval"),
]  # fmt: skip

_STATE = "state/migrations/initial/rules.py"
ELSEWHERE = [
    ("1 summary: EnvironmentType is unique", _STATE, 'new("environments", "environment_type")'),
    ("1 summary: CreatedAt and CreatedBy are immutable", _STATE, 'immutable("environments", "environment_type", "created_at", "created_by")'),
    ("1 business rule 2; design: fallback never below the required level", "services/keys/levels.py", "level.satisfies(key.required_security_level)"),
    ("2 invariant 1: BackendId is unique", _STATE, 'new("backends", "backend_id")'),
    ("2 summary: BackendId and ProviderType are immutable", _STATE, 'immutable("backends", "backend_id", "provider_type")'),
    ("2 business rule 2 (FR-016): the health check sets the status", "services/backends/hysteresis.py", '"availability_status": status'),
    ("contradiction 4: a cloud below HSM does not satisfy FR-014", "services/backends/selection.py", "level.satisfies(required)"),
    ("3 design: the name is unique", _STATE, 'new("keys", "key_id", "name")'),
    ("3 property Algorithm: supported by the backend", "services/backends/selection.py", "backend.support(algorithm)"),
    ("3 property Version; business rule 3; invariant 1 (FR-017): one more at each rotation", _STATE, '"version_grows"'),
    ("3 summary: KeyId and Algorithm are immutable", _STATE, 'immutable("keys", "key_id", "name", "algorithm", "created_at"'),
    ("3 summary: Version and CreationTimestamp are immutable", _STATE, 'immutable("key_versions", "key_id", "version", "created_at"'),
    ("3 business rule 2 (FR-022): next rotation is last rotation + interval", "services/keys/generation.py", "def next_rotation("),
    ("6 business rule 1 (FR-022); contradiction 6: the later of creation and last rotation", "models/key.py", "(self.last_rotation_at or self.created_at)"),
    ("3 business rule 4; contradiction 7: the order of statuses", _STATE, '"status_edge"'),
    ("3 business rule 4; contradiction 7: one ACTIVE version", _STATE, '_single("ACTIVE")'),
    ("3 business rule 4; contradiction 7: one PENDING version", _STATE, '_single("PENDING")'),
    ("3 nested MinimumRotationInterval: not rotated earlier", "services/rotation/renewal.py", "key.minimum_rotation_interval"),
    ("4 property OperationId: generated on creation", "services/recording.py", "uuid.uuid4()"),
    ("4 business rule 2 (NFR-007): a slow signature is a warning", "services/keys/signing.py", "_report_slow(bound)"),
    ("4 summary: OperationId is unique", _STATE, "operation_id = NEW.operation_id"),
    ("4 summary: every field is immutable", _STATE, 'Guard("operations", "UPDATE", "immutable", "TRUE"'),
    ("5 summary: MigrationId is unique", _STATE, 'new("migrations", "migration_id")'),
    ("5 summary: the source and the beginning are immutable", _STATE, '"source_key_id",\n        "migrated_at",'),
    ("5 business rule 3: the date is never moved earlier", _STATE, '_ratchet("migrations", "source_retained_until")'),
    ("6 business rule 2 (FR-017): manual rotation", "services/rotation/renewal.py", "manual_rotation_allowed"),
    ("6 business rule 3: deprecated versions are kept", "services/keys/destruction.py", "version.not_destroy_before"),
    ("6 business rule 3: the date is never moved earlier", _STATE, '_ratchet("key_versions", "not_destroy_before")'),
]  # fmt: skip


@pytest.mark.parametrize("row", RULES, ids=lambda row: f"{row.source}: {row.text}")
def test_the_rule_holds(row: Rule) -> None:
    build(row.model, row.valid)
    with pytest.raises(ValidationError) as caught:
        build(row.model, row.violation)
    assert broken(caught.value) == {(row.rule, row.field)}
    assert row.field.partition(".")[0] in str(caught.value)
    assert row.rule in str(caught.value)


@pytest.mark.parametrize(("rule", "path", "code"), ELSEWHERE, ids=[row[0] for row in ELSEWHERE])
def test_a_rule_that_no_record_can_show_is_enforced_elsewhere(rule: str, path: str, code: str) -> None:
    package = Path(keyclave.__file__).parent
    assert code in (package / path).read_text(encoding="utf-8"), rule


@pytest.mark.parametrize(
    ("model", "field"), [(row.model, row.field) for row in RULES if row.rule == "timezone_aware"]
)
def test_a_time_of_another_zone_becomes_utc(model: type[Model], field: str) -> None:
    elsewhere = (T + 40 * DAY).astimezone(timezone(timedelta(hours=5, minutes=30)))
    changes = {name: T + 40 * DAY for name in ("updated_at",) if name in model.model_fields and name != field}
    status = FAILED if field == "completed_at" else {}
    made = getattr(build(model, {**changes, **status, field: elsewhere}), field)
    assert made == T + 40 * DAY
    assert made.tzinfo is UTC


def test_every_rule_in_the_code_of_the_models_has_a_row() -> None:
    sources = (Path(keyclave.__file__).parent / "models").glob("*.py")
    calls = [
        node.args
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require"
    ]
    named = {
        (rule.value, field.value)
        for _, rule, field, _ in calls
        if isinstance(rule, ast.Constant) and isinstance(field, ast.Constant)
    }
    assert len(named) > 25
    assert named <= {(row.rule, row.field) for row in RULES}
