"""CryptographicBackend: where keys live, and how we know how well they are kept there."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from keyclave.models.base import Model, NonEmptyStr, UtcDatetime, require
from keyclave.models.environment import BackendType
from keyclave.models.levels import AuthenticationMethod, AvailabilityStatus, EnvironmentType, SecurityLevel

__all__ = [
    "CLOUD_BACKENDS",
    "BackendHealth",
    "BackendId",
    "CryptographicBackend",
    "HealthCheckResult",
    "authentication_problem",
]

CLOUD_BACKENDS = frozenset({"azure", "aws", "gcp"})
_NEVER_HSM = frozenset({"os-keychain", "browser", "software", "tpm"})
_REQUIRED_AUTHENTICATION = {
    **dict.fromkeys(CLOUD_BACKENDS, AuthenticationMethod.MANAGED_IDENTITY),
    "k8s": AuthenticationMethod.SERVICE_ACCOUNT,
}

BackendId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}$")]


class HealthCheckResult(Model):
    """The outcome of one health check.

    Attributes:
        status: whether the backend answers.
        checked_at: UTC.
        latency: how long the check took.
        detail: what was seen, without secrets.
    """

    status: AvailabilityStatus
    checked_at: UtcDatetime
    latency: timedelta
    detail: str = ""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(self.latency >= timedelta(0), "FR-016", "latency", "must not be negative")
        return self


class BackendHealth(Model):
    """How a backend is, by its health checks and by what became of the calls to it (FR-016).

    Attributes:
        backend_id: the configured instance.
        availability_status: what follows from the last observations: two failures in a row make it UNAVAILABLE, and
            two passes in a row end that; one failure makes it DEGRADED.
        last_health_check: when the last check was begun, UTC.
        health_check_status: the result of the last check that ended; ``None`` before the first.
        failures, passes: how many of the last observations were alike, up to two; one of the two is 0.
        circuit_opened_at: since when a process makes no calls to it, UTC; ``None`` while none is known to.
    """

    backend_id: BackendId
    availability_status: AvailabilityStatus = AvailabilityStatus.AVAILABLE
    last_health_check: UtcDatetime
    health_check_status: HealthCheckResult | None = None
    failures: int = Field(default=0, ge=0, le=2)
    passes: int = Field(default=0, ge=0, le=2)
    circuit_opened_at: UtcDatetime | None = None

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        require(self.failures == 0 or self.passes == 0, "FR-016", "passes", "must be 0 after a failure")
        return self


class CryptographicBackend(Model):
    """One configured backend instance.

    Attributes:
        backend_id: unique; the name in settings, a GUID or a provider's own identifier.
        provider_type: the plugin that serves it.
        environment_type: the environment that configures it.
        security_level: what the backend can show, never what configuration claims.
        security_evidence: what the level rests on, a sentence each.
        accept_simulator: a simulator is treated as the real thing; refused in production.
        availability_status: updated by health checks (FR-016).
        configuration: settings without secrets.
        last_health_check, health_check_status: when it was checked last, and the result.
        connection_uri: for a cloud a valid absolute URI, without credentials.
        authentication_method: how Keyclave proves itself to it (FR-023).
        credential_source: where the credential came from, in a sentence without secrets; ``None`` if it did not say.
        credential_named: whether the settings name that source.
    """

    backend_id: BackendId
    provider_type: BackendType
    environment_type: EnvironmentType
    security_level: SecurityLevel
    security_evidence: tuple[NonEmptyStr, ...] = ()
    accept_simulator: bool = False
    availability_status: AvailabilityStatus = AvailabilityStatus.AVAILABLE
    configuration: dict[str, str] = Field(default_factory=dict)
    last_health_check: UtcDatetime | None = None
    health_check_status: HealthCheckResult | None = None
    connection_uri: NonEmptyStr | None = None
    authentication_method: AuthenticationMethod
    credential_source: NonEmptyStr | None = None
    credential_named: bool = False

    @model_validator(mode="after")
    def _check_level(self) -> Self:
        """FR-001, FR-003: a level is what evidence shows."""
        level, cloud = self.security_level, self.provider_type in CLOUD_BACKENDS
        production = self.environment_type is EnvironmentType.PRODUCTION
        require(
            level is SecurityLevel.SOFTWARE or bool(self.security_evidence),
            "FR-003",
            "security_evidence",
            f"must show what the level {level.value} rests on",
        )
        require(
            level is not SecurityLevel.HSM or self.provider_type not in _NEVER_HSM,
            "FR-003",
            "security_level",
            f"cannot be HSM for {self.provider_type}",
        )
        require(
            not cloud or level is SecurityLevel.HSM or bool(self.security_evidence),
            "FR-001",
            "security_level",
            "must be HSM for a cloud backend, unless evidence shows another level",
        )
        require(
            not (cloud and production) or level is SecurityLevel.HSM,
            "FR-001",
            "security_level",
            "must be HSM for a cloud backend in production",
        )
        require(
            not (self.accept_simulator and production),
            "FR-014",
            "accept_simulator",
            "must be off in production",
        )
        return self

    @model_validator(mode="after")
    def _check_authentication(self) -> Self:
        """FR-023: in production and staging refused unless the settings name the source, and a warning otherwise."""
        problem = authentication_problem(self.provider_type, self.authentication_method)
        if problem is None:
            return self
        require(
            self.credential_named or not self.environment_type.is_strict,
            "FR-023",
            "authentication_method",
            f"{problem} in {self.environment_type.value}, unless the settings name the source of the credential",
        )
        used = self.credential_source or self.authentication_method.value
        text = f"FR-023: authentication_method {problem}; {self.backend_id} uses {used}"
        warnings.warn(text, UserWarning, stacklevel=3)  # whoever makes it, past pydantic
        return self

    @model_validator(mode="after")
    def _check_health_and_uri(self) -> Self:
        require(
            self.availability_status is AvailabilityStatus.AVAILABLE or self.last_health_check is not None,
            "FR-016",
            "last_health_check",
            f"must be set while the backend is {self.availability_status.value}",
        )
        require(
            self.provider_type not in CLOUD_BACKENDS
            or self.connection_uri is None
            or _is_absolute_uri(self.connection_uri),
            "connection-uri",
            "connection_uri",
            "must be an absolute URI without credentials for a cloud backend",
        )
        return self


def authentication_problem(provider_type: str, method: AuthenticationMethod) -> str | None:
    """Return how a method of authentication falls short of FR-023, or ``None`` if it does not.

    Examples:
        >>> authentication_problem("aws", AuthenticationMethod.CERTIFICATE)
        'must be MANAGED_IDENTITY for aws'
        >>> authentication_problem("acme", AuthenticationMethod.API_KEY)
        'should be another one than API_KEY'
        >>> authentication_problem("acme", AuthenticationMethod.CERTIFICATE)
    """
    required = _REQUIRED_AUTHENTICATION.get(provider_type)
    if required is not None:
        return None if method is required else f"must be {required.value} for {provider_type}"
    return "should be another one than API_KEY" if method is AuthenticationMethod.API_KEY else None


def _is_absolute_uri(value: str) -> bool:
    """Whether it is a URI with a host, made of visible ASCII, and without credentials."""
    try:
        parts = urlsplit(value)
        port = parts.port  # parsed here: a wrong one raises
    except ValueError:
        return False
    visible = value.isascii() and value.isprintable() and " " not in value
    return visible and bool(parts.scheme and parts.hostname) and "@" not in parts.netloc and port != 0
