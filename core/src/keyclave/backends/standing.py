"""What an opened backend is, by the rules of the model: one that breaks a rule of its environment is never used."""

from __future__ import annotations

from pydantic import ValidationError

from keyclave.errors import PolicyViolation
from keyclave.models import AvailabilityStatus, CryptographicBackend, HealthCheckResult
from keyclave.plugin.records import BackendContext, BackendDescription

__all__ = ["standing"]


def standing(
    context: BackendContext, description: BackendDescription, health: HealthCheckResult | None = None
) -> CryptographicBackend:
    """Return what a backend shows of itself.

    Args:
        context: what it was opened with.
        description: what it said then.
        health: what a check found, if there was one.

    Raises:
        PolicyViolation: a rule for backends in this environment is broken.
    """
    try:
        return CryptographicBackend(
            backend_id=context.backend_id,
            provider_type=description.provider_type,
            environment_type=context.environment_type,
            security_level=description.security_level,
            security_evidence=description.evidence,
            accept_simulator=context.accept_simulator,
            availability_status=AvailabilityStatus.AVAILABLE if health is None else health.status,
            last_health_check=None if health is None else health.checked_at,
            health_check_status=health,
            connection_uri=description.connection_uri,
            authentication_method=description.authentication_method,
            credential_source=description.credential_source,
            credential_named=description.credential_named,
        )
    except ValidationError as error:
        problems = "; ".join(e["msg"] for e in error.errors(include_input=False, include_url=False))
    raise PolicyViolation(problems, backend_id=context.backend_id)
