"""EnvironmentConfiguration: what one environment requires of its keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from keyclave.models.base import MINIMUM_RETENTION, Model, NonEmptyStr, UtcDatetime, require
from keyclave.models.levels import EnvironmentType, SecurityLevel
from keyclave.models.rotation import DEFAULT_ROTATION_INTERVAL, require_rotation_interval

__all__ = [
    "DEFAULT_PRECEDENCE",
    "AuditConfiguration",
    "BackendType",
    "EnvironmentConfiguration",
    "FallbackPolicyConfiguration",
]

BackendType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""The name of a plugin's entry point: `aws`, `pkcs11-hsm`, or a third party's own."""

DEFAULT_PRECEDENCE: tuple[str, ...] = (
    "azure",
    "aws",
    "gcp",
    "pkcs11-hsm",
    "k8s",
    "tpm",
    "os-keychain",
    "software",
)
"""Cloud HSM, Kubernetes, operating system, software (FR-021); a local HSM ranks with the cloud's, and a TPM
before the operating system, since each is hardware that the next one is not."""


class FallbackPolicyConfiguration(Model):
    """Whether standbys in other backends may sign for the keys of a backend while it is unavailable (FR-024).

    Attributes:
        enabled: off by default; in production only where somebody turned it on by name.
        warning_level: level of the log record that each fallback begins with.
        max_fallback_duration: how long a fallback may last; ``None`` is without limit.
    """

    enabled: bool = False
    warning_level: Literal["WARNING", "ERROR"] = "WARNING"
    max_fallback_duration: timedelta | None = None

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(
            self.max_fallback_duration is None or self.max_fallback_duration > timedelta(0),
            "FR-024",
            "max_fallback_duration",
            "must be longer than zero",
        )
        return self


class AuditConfiguration(Model):
    """What is recorded of each operation, and for how long.

    Attributes:
        enable_audit_logging: record every operation (FR-010).
        retention_period: at least 90 days.
        redact_sensitive_data: keep key material out of the log (FR-013). Keyclave's log has no field that
            could hold any, so it cannot be turned off.
    """

    enable_audit_logging: bool = True
    retention_period: timedelta = MINIMUM_RETENTION
    redact_sensitive_data: bool = True

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(
            self.retention_period >= MINIMUM_RETENTION,
            "retention",
            "retention_period",
            "must be at least 90 days",
        )
        require(self.redact_sensitive_data, "FR-013", "redact_sensitive_data", "cannot be turned off")
        return self


class EnvironmentConfiguration(Model):
    """The requirements of one environment.

    Attributes:
        environment_type: production, staging, development or local; the identity of the configuration.
        required_security_level: the lowest level that a backend must show; production requires HSM.
        allowed_backend_types: plugin names that may hold keys; not empty.
        backend_precedence_order: plugin names, the first choice first; not empty.
        key_rotation_interval: 1 to 365 days; ``None`` turns scheduled rotation off.
        fallback_policy: see there.
        audit_requirements: see there.
        created_at, updated_at: UTC.
        created_by: the principal that created the configuration.
    """

    environment_type: EnvironmentType
    required_security_level: SecurityLevel
    allowed_backend_types: Annotated[tuple[BackendType, ...], Field(min_length=1)] = DEFAULT_PRECEDENCE
    backend_precedence_order: tuple[BackendType, ...] = DEFAULT_PRECEDENCE
    key_rotation_interval: timedelta | None = DEFAULT_ROTATION_INTERVAL
    fallback_policy: FallbackPolicyConfiguration = FallbackPolicyConfiguration()
    audit_requirements: AuditConfiguration = AuditConfiguration()
    created_at: UtcDatetime
    updated_at: UtcDatetime
    created_by: NonEmptyStr

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        production = self.environment_type is EnvironmentType.PRODUCTION
        require(
            not production or self.required_security_level is SecurityLevel.HSM,
            "FR-014",
            "required_security_level",
            "must be HSM in production",
        )
        require(
            not production or self.audit_requirements.enable_audit_logging,
            "FR-010",
            "audit_requirements",
            "must enable audit logging in production",
        )
        require(
            bool(self.backend_precedence_order),
            "FR-021",
            "backend_precedence_order",
            "must name at least one backend",
        )
        require_rotation_interval(self.key_rotation_interval, "key_rotation_interval")
        require(self.updated_at >= self.created_at, "timestamps", "updated_at", "must not be before created_at")
        return self
