"""What holds for the models as a whole: required fields, defaults, frozen and closed, warnings, errors."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from keyclave.models import (
    ALGORITHMS,
    DEFAULT_PRECEDENCE,
    STORED,
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
    KeyStatus,
    MigrationApproval,
    MigrationPlan,
    MigrationStatus,
    PlannedMigration,
    RotationPolicy,
)
from keyclave.models.base import Model
from pydantic import ValidationError

from core.tests.models.examples import COMPLETED, DAY, PROPERTIES, TICK, VALID, broken, build

REQUIRED: dict[type[Model], str] = {
    EnvironmentConfiguration: "environment_type required_security_level allowed_backend_types"
    " backend_precedence_order fallback_policy audit_requirements created_at updated_at created_by",
    FallbackPolicyConfiguration: "enabled warning_level",
    AuditConfiguration: "enable_audit_logging retention_period redact_sensitive_data",
    CryptographicBackend: "backend_id provider_type environment_type security_level availability_status"
    " authentication_method",
    BackendHealth: "backend_id availability_status last_health_check failures passes",
    HealthCheckResult: "status checked_at latency",
    KeyHandle: "key_id name version algorithm created_at provider_uri security_properties backend_id backend_type"
    " status owner_principal",
    KeySecurityProperties: "exportable hsm_backed allowed_operations",
    CryptographicOperation: "operation_id operation_type key_handle_reference timestamp requesting_principal status",
    KeyMigrationRecord: "migration_id plan_id key_name key_version strategy source_backend_id source_provider"
    " source_location source_required_level destination_backend_id"
    " destination_provider migrated_at source_key_id administrative_approval status",
    ApprovalRecord: "approved_by approved_at",
    KeyLocation: "label provider_uri exportable hsm_backed",
    PlannedMigration: "key_id key_name version algorithm source_backend_id source_provider reason requires",
    MigrationPlan: "plan_id destination_backend_id destination_provider destination_level requested_by"
    " created_at versions plan_hash",
    MigrationApproval: "approved_by approved_at approval_id plan_id plan_hash expires_at",
    RotationPolicy: "automatic_rotation_enabled retain_deprecated_versions deprecated_version_retention_period"
    " manual_rotation_allowed validation_period",
}
DEFAULTS: dict[type[Model], dict[str, Any]] = {
    EnvironmentConfiguration: {
        "allowed_backend_types": DEFAULT_PRECEDENCE,
        "backend_precedence_order": ("azure", "aws", "gcp", "pkcs11-hsm", "k8s", "tpm", "os-keychain", "software"),
        "key_rotation_interval": 90 * DAY,
        "fallback_policy": FallbackPolicyConfiguration(),
        "audit_requirements": AuditConfiguration(),
    },
    FallbackPolicyConfiguration: {"enabled": False, "warning_level": "WARNING", "max_fallback_duration": None},
    AuditConfiguration: {"enable_audit_logging": True, "retention_period": 90 * DAY, "redact_sensitive_data": True},
    CryptographicBackend: {"availability_status": "AVAILABLE", "configuration": {}, "last_health_check": None},
    BackendHealth: {"availability_status": "AVAILABLE", "failures": 0, "passes": 0, "circuit_opened_at": None},
    KeyHandle: {"status": KeyStatus.ACTIVE, "last_rotation_at": None, "next_rotation_at": None},
    KeySecurityProperties: {"wrappable": False, "minimum_rotation_interval": None},
    KeyMigrationRecord: {"status": MigrationStatus.IN_PROGRESS, "completed_at": None, "destination_key_id": None},
    RotationPolicy: {
        "automatic_rotation_enabled": True,
        "rotation_interval": 90 * DAY,
        "retain_deprecated_versions": True,
        "deprecated_version_retention_period": 90 * DAY,
        "manual_rotation_allowed": True,
        "validation_period": timedelta(hours=24),
    },
}


@pytest.mark.parametrize(
    ("model", "field"), [(model, field) for model, fields in REQUIRED.items() for field in fields.split()]
)
def test_a_required_field_is_never_absent(model: type[Model], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        build(model, {field: None})
    assert field in {name.partition(".")[0] for _, name in broken(caught.value)}
    without = {name: value for name, value in VALID[model].items() if name != field}
    if field in DEFAULTS.get(model, {}):
        assert getattr(model(**without), field) == DEFAULTS[model][field]
        return
    with pytest.raises(ValidationError) as caught:
        model(**without)
    assert broken(caught.value) == {("missing", field)}


@pytest.mark.parametrize("model", VALID, ids=lambda model: model.__name__)
def test_defaults_are_those_of_the_data_model(model: type[Model]) -> None:
    made = build(model)
    for field, value in DEFAULTS.get(model, {}).items():
        assert getattr(made, field) == value


@pytest.mark.parametrize("model", VALID, ids=lambda model: model.__name__)
def test_a_model_is_frozen_and_closed(model: type[Model]) -> None:
    made = build(model)
    for field in type(made).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(made, field, getattr(made, field))
    with pytest.raises(ValidationError) as caught:
        build(model, {"colour": "green"})
    assert broken(caught.value) == {("extra_forbidden", "colour")}


@pytest.mark.parametrize("model", VALID, ids=lambda model: model.__name__)
def test_a_copy_obeys_the_rules(model: type[Model]) -> None:
    made = build(model)
    assert made.model_copy() == made
    assert made.model_copy(update={}) == made
    with pytest.raises(ValidationError) as caught:
        made.model_copy(update={"colour": "green"})
    assert broken(caught.value) == {("extra_forbidden", "colour")}


def test_a_copy_with_a_change_obeys_the_rules() -> None:
    made = build(KeyHandle)
    assert made.model_copy(update={"version": 2}).version == 2
    with pytest.raises(ValidationError) as caught:
        made.model_copy(update={"status": "DEPRECATED"})
    assert broken(caught.value) == {("FR-017", "last_rotation_at")}


@pytest.mark.parametrize("environment", ["local", "development"])
@pytest.mark.parametrize("provider", ["aws", "azure", "gcp", "k8s", "pkcs11-hsm", "acme"])
def test_fr_023_another_authentication_is_a_warning_where_nothing_is_at_stake(
    environment: str, provider: str
) -> None:
    changes = {
        "environment_type": environment,
        "provider_type": provider,
        "authentication_method": "API_KEY",
    }
    with pytest.warns(UserWarning, match="FR-023"):
        build(CryptographicBackend, changes)


@pytest.mark.parametrize("environment", ["production", "staging", "development", "local"])
def test_the_right_authentication_is_no_warning(environment: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(CryptographicBackend, {"environment_type": environment})


def test_an_operation_is_slow_from_the_first_microsecond_beyond_500_ms() -> None:
    limit = timedelta(milliseconds=500)
    assert build(CryptographicOperation, {"duration": limit + TICK}).is_slow
    assert not build(CryptographicOperation, {"duration": limit}).is_slow
    quick = {"duration": limit + TICK, "operation_type": "ROTATE"}
    assert not build(CryptographicOperation, quick).is_slow


def test_a_stored_operation_is_read_although_the_clock_went_back() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    fields = {**VALID[CryptographicOperation], "timestamp": soon}
    assert CryptographicOperation.model_validate(fields, context=STORED).timestamp == soon
    with pytest.raises(ValidationError):
        CryptographicOperation.model_validate(fields, context={"stored": False})


def test_fr_004_a_key_in_an_hsm_is_not_exportable() -> None:
    with pytest.raises(ValidationError) as caught:
        build(KeyHandle, {"security_properties": {**PROPERTIES, "hsm_backed": True, "exportable": True}})
    assert ("FR-003", "exportable") in broken(caught.value)


@pytest.mark.parametrize("missing", [name for name in COMPLETED if name not in ("status", "completed_at")])
def test_fr_012_a_migration_is_completed_with_everything_that_proves_it(missing: str) -> None:
    build(KeyMigrationRecord, COMPLETED)
    with pytest.raises(ValidationError) as caught:
        build(KeyMigrationRecord, {**COMPLETED, missing: None})
    assert ("FR-012", missing) in broken(caught.value)


@pytest.mark.parametrize("environment", ["production", "staging", "development", "local"])
def test_fr_024_nothing_falls_back_unless_somebody_said_so(environment: str) -> None:
    assert not build(EnvironmentConfiguration, {"environment_type": environment}).fallback_policy.enabled


def test_fr_013_an_error_shows_no_input() -> None:
    with pytest.raises(ValidationError) as caught:
        build(CryptographicOperation, {"error_message": "-----BEGIN PRIVATE KEY-----canary"})
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(caught.value)


def test_every_algorithm_can_be_the_algorithm_of_a_key() -> None:
    assert set(ALGORITHMS) == {
        "RSA_2048", "RSA_3072", "RSA_4096", "ECDSA_P256", "ECDSA_P384", "ED25519", "AES_256", "ML_DSA_65",
    }  # fmt: skip
    for name, algorithm in ALGORITHMS.items():
        properties = {**PROPERTIES, "allowed_operations": algorithm.operations}
        build(KeyHandle, {"algorithm": name, "security_properties": properties})
