"""Hypothesis strategies that make valid instances of every model, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from keyclave.models import (
    ALGORITHMS,
    APPROVAL_LIFETIME,
    CLOUD_BACKENDS,
    SOURCE_RETENTION,
    ApprovalRecord,
    AuditConfiguration,
    AuthenticationMethod,
    AvailabilityStatus,
    BackendHealth,
    CryptographicBackend,
    CryptographicOperation,
    EnvironmentConfiguration,
    EnvironmentType,
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
    MigrationStrategy,
    OperationStatus,
    OperationType,
    PlannedMigration,
    RotationPolicy,
    SecurityLevel,
    looks_like_key_material,
)
from keyclave.models.base import MINIMUM_RETENTION, Model

_DAY = timedelta(days=1)
_LONGEST = timedelta(days=36_500)
"""How far one generated time lies behind another at most: the last year must not be exceeded."""
_VERSIONS = st.integers(1, 2**31 - 1)
_FIRST_PARTY = ("software", "pkcs11-hsm", "tpm", "os-keychain", "aws", "azure", "gcp", "k8s", "browser")
_URIS = {
    "software": r"software:[0-9a-f]{32}",
    "pkcs11-hsm": r"pkcs11:token=[a-z]{1,9};id=%[0-9A-F]{2}",
    "tpm": r"tpm:0x81[0-9a-f]{6}",
    "os-keychain": r"os-keychain:[a-z0-9.]{1,30}",
    "aws": r"arn:aws(-cn)?:kms:[a-z]{2}-[a-z]{4,7}-[1-9]:[0-9]{12}:key/[0-9a-f-]{36}",
    "azure": r"https://[a-z0-9]{1,20}\.vault\.azure\.net/keys/[a-z0-9-]{1,20}/[0-9a-f]{32}",
    "gcp": r"projects/[a-z]{1,9}/locations/[a-z0-9-]{1,9}/keyRings/[a-z]{1,9}/cryptoKeys/[a-z]{1,9}"
    r"/cryptoKeyVersions/[1-9][0-9]{0,3}",
    "k8s": r"k8s:[a-z][a-z0-9-]{0,20}/[a-z][a-z0-9.-]{0,20}",
    "browser": r"browser:[A-Za-z0-9_-]{1,20}",
}
_ANY_URI = r"acme\+v1:[!-~]{1,40}"
_AUTHENTICATION = dict.fromkeys(CLOUD_BACKENDS, AuthenticationMethod.MANAGED_IDENTITY)
_AUTHENTICATION["k8s"] = AuthenticationMethod.SERVICE_ACCOUNT

_past = st.datetimes(datetime.min, datetime(2025, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001, DTZ901  naive bounds
_instants = _past | st.datetimes(datetime(2025, 1, 1), datetime(9700, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  as above
_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).map(str.strip).filter(bool)
_harmless_texts = _texts.filter(lambda text: not looks_like_key_material(text))
_names = st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,127}\Z")
_backend_types = st.sampled_from(_FIRST_PARTY) | st.from_regex(r"\A[a-z][a-z0-9-]{0,62}\Z").filter(
    lambda name: name not in _FIRST_PARTY
)
_backend_ids = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}\Z")
_hex_digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


def _durations(shortest: timedelta, longest: timedelta = _LONGEST) -> st.SearchStrategy[timedelta]:
    return st.timedeltas(shortest, longest)


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _tuples(strategy: st.SearchStrategy[Any], *, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, min_size=least, max_size=4).map(tuple)


def fallback_policies() -> st.SearchStrategy[FallbackPolicyConfiguration]:
    """Any fallback policy."""
    return st.builds(
        FallbackPolicyConfiguration,
        enabled=st.booleans(),
        warning_level=st.sampled_from(["WARNING", "ERROR"]),
        max_fallback_duration=_optional(_durations(timedelta(microseconds=1), timedelta.max)),
    )


def audit_configurations(*, enabled: bool | None = None) -> st.SearchStrategy[AuditConfiguration]:
    """Any audit configuration, or only those that are enabled."""
    return st.builds(
        AuditConfiguration,
        enable_audit_logging=st.booleans() if enabled is None else st.just(enabled),
        retention_period=_durations(MINIMUM_RETENTION, timedelta.max),
    )


@st.composite
def environments(draw: st.DrawFn) -> EnvironmentConfiguration:
    """Any environment."""
    environment_type = draw(st.sampled_from(EnvironmentType))
    production = environment_type is EnvironmentType.PRODUCTION
    created_at = draw(_instants)
    return EnvironmentConfiguration(
        environment_type=environment_type,
        required_security_level=SecurityLevel.HSM if production else draw(st.sampled_from(SecurityLevel)),
        allowed_backend_types=draw(_tuples(_backend_types, least=1)),
        backend_precedence_order=draw(_tuples(_backend_types, least=1)),
        key_rotation_interval=draw(_optional(_durations(_DAY, 365 * _DAY))),
        fallback_policy=draw(fallback_policies()),
        audit_requirements=draw(audit_configurations(enabled=True if production else None)),
        created_at=created_at,
        updated_at=created_at + draw(_durations(timedelta(0))),
        created_by=draw(_texts),
    )


def health_check_results() -> st.SearchStrategy[HealthCheckResult]:
    """Any result of a health check."""
    return st.builds(
        HealthCheckResult,
        status=st.sampled_from(AvailabilityStatus),
        checked_at=_instants,
        latency=_durations(timedelta(0), timedelta.max),
        detail=st.text(max_size=30),
    )


@st.composite
def backend_healths(draw: st.DrawFn) -> BackendHealth:
    """How any backend is."""
    failures = draw(st.integers(0, 2))
    return BackendHealth(
        backend_id=draw(_backend_ids),
        availability_status=draw(st.sampled_from(AvailabilityStatus)),
        last_health_check=draw(_instants),
        health_check_status=draw(_optional(health_check_results())),
        failures=failures,
        passes=0 if failures else draw(st.integers(0, 2)),
        circuit_opened_at=draw(_optional(_instants)),
    )


def _levels(backend_type: str, *, production: bool) -> list[SecurityLevel]:
    if backend_type in CLOUD_BACKENDS and production:
        return [SecurityLevel.HSM]
    if backend_type in {"os-keychain", "browser", "software", "tpm"}:
        return [SecurityLevel.TPM, SecurityLevel.SOFTWARE]
    return list(SecurityLevel)


@st.composite
def backends(draw: st.DrawFn) -> CryptographicBackend:
    """Any backend with the authentication that its type requires, so that none makes a warning."""
    backend_type = draw(_backend_types)
    environment_type = draw(st.sampled_from(EnvironmentType))
    production = environment_type is EnvironmentType.PRODUCTION
    level = draw(st.sampled_from(_levels(backend_type, production=production)))
    needs_evidence = level is not SecurityLevel.SOFTWARE or backend_type in CLOUD_BACKENDS
    availability = draw(st.sampled_from(AvailabilityStatus))
    health = draw(_optional(health_check_results()))
    checked = None if availability is AvailabilityStatus.AVAILABLE and draw(st.booleans()) else draw(_instants)
    authentication = _AUTHENTICATION.get(backend_type) or draw(
        st.sampled_from(AuthenticationMethod).filter(lambda method: method is not AuthenticationMethod.API_KEY)
    )
    return CryptographicBackend(
        backend_id=draw(_backend_ids),
        provider_type=backend_type,
        environment_type=environment_type,
        security_level=level,
        security_evidence=draw(_tuples(_texts, least=int(needs_evidence))),
        accept_simulator=not production and draw(st.booleans()),
        availability_status=availability,
        configuration=draw(st.dictionaries(_texts, st.text(max_size=30), max_size=3)),
        last_health_check=checked,
        health_check_status=health,
        connection_uri=draw(
            _optional(st.from_regex(r"\Ahttps://[a-z0-9.-]{1,30}(:[1-9][0-9]{0,3})?(/[a-z]{1,9})?\Z"))
        ),
        authentication_method=authentication,
    )


@st.composite
def security_properties(draw: st.DrawFn, algorithm: str | None = None) -> KeySecurityProperties:
    """Any security properties of a key, or those that one of this algorithm can have."""
    operations = ALGORITHMS[algorithm or draw(st.sampled_from(sorted(ALGORITHMS)))].operations
    hsm_backed = draw(st.booleans())
    return KeySecurityProperties(
        exportable=not hsm_backed and draw(st.booleans()),
        hsm_backed=hsm_backed,
        wrappable=draw(st.booleans()),
        allowed_operations=draw(st.lists(st.sampled_from(operations), min_size=1, unique=True).map(tuple)),
        minimum_rotation_interval=draw(_optional(_durations(timedelta(0), timedelta.max))),
    )


@st.composite
def key_handles(draw: st.DrawFn) -> KeyHandle:
    """Any version of any key."""
    algorithm = draw(st.sampled_from(sorted(ALGORITHMS)))
    backend_type = draw(_backend_types)
    status = draw(st.sampled_from(KeyStatus))
    created_at = draw(_instants)
    rotated_at = created_at + draw(_durations(timedelta(0)))
    rotated = status is KeyStatus.DEPRECATED or draw(st.booleans())
    since = rotated_at if rotated else created_at
    return KeyHandle(
        key_id=draw(st.uuids()),
        name=draw(_names),
        version=draw(_VERSIONS),
        algorithm=algorithm,
        created_at=created_at,
        last_rotation_at=rotated_at if rotated else None,
        next_rotation_at=draw(_optional(_durations(_DAY, 365 * _DAY).map(lambda interval: since + interval))),
        provider_uri=draw(st.from_regex(rf"\A{_URIS.get(backend_type, _ANY_URI)}\Z")),
        security_properties=draw(security_properties(algorithm)),
        backend_id=draw(_backend_ids),
        backend_type=backend_type,
        status=status,
        owner_principal=draw(_texts),
        not_destroy_before=draw(_optional(_instants)),
        destroyed_at=draw(_optional(_instants)),
    )


@st.composite
def operations(draw: st.DrawFn) -> CryptographicOperation:
    """Any record of the audit log."""
    operation_type = draw(st.sampled_from(OperationType))
    status = draw(st.sampled_from(OperationStatus))
    failed, health = status is OperationStatus.FAILED, operation_type is OperationType.HEALTH_CHECK
    return CryptographicOperation(
        operation_id=draw(st.uuids()),
        operation_type=operation_type,
        key_handle_reference=draw(st.uuids().map(str) | _names.map("name:{}".format)),
        key_version=draw(_optional(_VERSIONS)),
        timestamp=draw(_past),
        requesting_principal=draw(_texts),
        status=status,
        error_message=draw(_harmless_texts if failed else _optional(_harmless_texts)),
        duration=draw(_optional(_durations(timedelta(0), timedelta.max))),
        audit_trail_reference=draw(_optional(_texts) if health else _texts),
        provider_reference=draw(_optional(_texts)),
        backend_id=draw(_optional(_backend_ids)),
        backend_type=draw(_optional(_backend_types)),
    )


def approvals() -> st.SearchStrategy[ApprovalRecord]:
    """Any approval of a migration."""
    return st.builds(
        ApprovalRecord,
        approved_by=_texts,
        approved_at=_instants,
        approval_justification=_optional(st.text(max_size=30)),
    )


def locations() -> st.SearchStrategy[KeyLocation]:
    """Any place of a version."""
    return st.builds(
        KeyLocation, label=_texts, provider_uri=_texts, exportable=st.booleans(), hsm_backed=st.booleans()
    )


@st.composite
def migrations(draw: st.DrawFn) -> KeyMigrationRecord:
    """Any migration, of every status."""
    status = draw(st.sampled_from(MigrationStatus))
    strategy = draw(st.sampled_from(MigrationStrategy))
    done, open_ = status is MigrationStatus.COMPLETED, status is MigrationStatus.IN_PROGRESS
    hashed = done and strategy is MigrationStrategy.WRAPPED
    migrated_at = draw(_instants)
    ended_at = migrated_at + draw(_durations(timedelta(0)))
    source, destination = draw(st.lists(_backend_ids, min_size=2, max_size=2, unique=True))
    retained_until = ended_at + SOURCE_RETENTION + draw(_durations(timedelta(0)))
    failed, rolled_back = status is MigrationStatus.FAILED, status is MigrationStatus.ROLLED_BACK
    return KeyMigrationRecord(
        migration_id=draw(st.uuids()),
        plan_id=draw(st.uuids()),
        key_name=draw(_names),
        key_version=draw(_VERSIONS),
        strategy=strategy,
        source_backend_id=source,
        source_provider=draw(_backend_types),
        destination_backend_id=destination,
        destination_provider=draw(_backend_types),
        migrated_at=migrated_at,
        completed_at=ended_at if done or (not open_ and draw(st.booleans())) else None,
        source_retained_until=retained_until if done else None,
        source_key_id=draw(_texts),
        source_location=draw(locations()),
        source_required_level=draw(st.sampled_from(SecurityLevel)),
        destination_version=draw(_VERSIONS if done else _optional(_VERSIONS)),
        destination_location=draw(locations() if done else _optional(locations())),
        destination_key_id=draw(_texts if done else _optional(_texts)),
        integrity_hash=draw(_hex_digests if hashed else _optional(_hex_digests)),
        cryptographic_proof=draw(st.binary(min_size=1) if done else _optional(st.binary())),
        administrative_approval=draw(approvals()),
        status=status,
        error_message=draw(_texts if failed else _optional(_texts)),
        wrapping_key_hash=draw(_optional(_hex_digests)),
        audit_reference=draw(_optional(_texts)),
        rollback_reason=draw(_texts if rolled_back else _optional(_texts)),
        destination_gone_at=draw(_instants if rolled_back else _optional(_instants)),
        retired_at=draw(_optional(st.just(retained_until))) if done else None,
    )


@st.composite
def planned_migrations(draw: st.DrawFn) -> PlannedMigration:
    """What a plan may say of one version."""
    return PlannedMigration(
        key_id=draw(st.uuids()),
        key_name=draw(_names),
        version=draw(_VERSIONS),
        algorithm=draw(st.sampled_from(sorted(ALGORITHMS))),
        source_backend_id=draw(_backend_ids),
        source_provider=draw(_backend_types),
        source_uri=draw(_optional(_texts)),
        strategy=draw(_optional(st.sampled_from(MigrationStrategy))),
        reason=draw(_texts),
        requires=draw(st.sampled_from(SecurityLevel)),
        method=draw(_optional(_texts)),
        wrapping_key_origin=draw(_optional(_hex_digests)),
        downgrade=draw(_optional(_texts)),
        consequences=draw(_tuples(_texts)),
    )


@st.composite
def migration_plans(draw: st.DrawFn) -> MigrationPlan:
    """Any plan, with its hash."""
    keys = st.lists(planned_migrations(), min_size=1, max_size=3, unique_by=lambda planned: planned.key_id)
    return MigrationPlan.of(
        plan_id=draw(st.uuids()),
        destination_backend_id=draw(_backend_ids),
        destination_provider=draw(_backend_types),
        destination_level=draw(st.sampled_from(SecurityLevel)),
        destination_uri=draw(_optional(_texts)),
        requested_by=draw(_texts),
        created_at=draw(_instants),
        exception=draw(_optional(_texts)),
        versions=tuple(draw(keys)),
    )


@st.composite
def migration_approvals(draw: st.DrawFn) -> MigrationApproval:
    """Any approval, used or not."""
    approved_at = draw(_instants)
    lifetime = draw(_durations(timedelta(microseconds=1), APPROVAL_LIFETIME))
    return MigrationApproval(
        approval_id=draw(st.uuids()),
        plan_id=draw(st.uuids()),
        plan_hash=draw(_hex_digests),
        approved_by=draw(_texts),
        approved_at=approved_at,
        approval_justification=draw(_optional(st.text(max_size=30))),
        expires_at=approved_at + lifetime,
        consumed_at=draw(_optional(st.just(approved_at + lifetime))),
    )


@st.composite
def rotation_policies(draw: st.DrawFn) -> RotationPolicy:
    """Any rotation policy."""
    automatic = draw(st.booleans())
    interval = _durations(_DAY, 365 * _DAY)
    return RotationPolicy(
        automatic_rotation_enabled=automatic,
        rotation_interval=draw(interval if automatic else _optional(interval)),
        retain_deprecated_versions=draw(st.booleans()),
        deprecated_version_retention_period=draw(_durations(MINIMUM_RETENTION, timedelta(days=36_525))),
        manual_rotation_allowed=draw(st.booleans()),
        validation_period=draw(_durations(timedelta(0), timedelta(days=365))),
    )


MODELS: dict[type[Model], Callable[[], st.SearchStrategy[Any]]] = {
    ApprovalRecord: approvals,
    AuditConfiguration: audit_configurations,
    BackendHealth: backend_healths,
    CryptographicBackend: backends,
    CryptographicOperation: operations,
    EnvironmentConfiguration: environments,
    FallbackPolicyConfiguration: fallback_policies,
    HealthCheckResult: health_check_results,
    KeyHandle: key_handles,
    KeyLocation: locations,
    KeyMigrationRecord: migrations,
    KeySecurityProperties: security_properties,
    MigrationApproval: migration_approvals,
    MigrationPlan: migration_plans,
    PlannedMigration: planned_migrations,
    RotationPolicy: rotation_policies,
}
