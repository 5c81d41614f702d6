"""How well a key is protected, and where we run."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["AuthenticationMethod", "AvailabilityStatus", "EnvironmentType", "SecurityLevel"]


class EnvironmentType(StrEnum):
    """Where the application runs; it decides which rules hold."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"
    LOCAL = "local"

    @property
    def is_strict(self) -> bool:
        """Whether what is discouraged elsewhere is refused."""
        return self in (EnvironmentType.PRODUCTION, EnvironmentType.STAGING)


class SecurityLevel(StrEnum):
    """What holds the key: a hardware security module, a trusted platform module, or software."""

    HSM = "HSM"
    TPM = "TPM"
    SOFTWARE = "SOFTWARE"

    def satisfies(self, required: SecurityLevel) -> bool:
        """Return whether this level is at least ``required``.

        Examples:
            >>> SecurityLevel.TPM.satisfies(SecurityLevel.SOFTWARE)
            True
            >>> SecurityLevel.TPM.satisfies(SecurityLevel.HSM)
            False
        """
        return _STRENGTH[self] >= _STRENGTH[required]


_STRENGTH = {SecurityLevel.SOFTWARE: 0, SecurityLevel.TPM: 1, SecurityLevel.HSM: 2}


class AvailabilityStatus(StrEnum):
    """Whether a backend answers."""

    AVAILABLE = "AVAILABLE"
    DEGRADED = "DEGRADED"
    UNAVAILABLE = "UNAVAILABLE"


class AuthenticationMethod(StrEnum):
    """How Keyclave proves itself to a backend (FR-023)."""

    MANAGED_IDENTITY = "MANAGED_IDENTITY"
    SERVICE_ACCOUNT = "SERVICE_ACCOUNT"
    PROCESS_IDENTITY = "PROCESS_IDENTITY"
    CERTIFICATE = "CERTIFICATE"
    API_KEY = "API_KEY"
