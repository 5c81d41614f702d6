"""An opened backend as the domain sees it, with how it is."""

from __future__ import annotations

from pydantic import ValidationError

from keyclave.backends.backend import Backend
from keyclave.errors import PolicyViolation
from keyclave.models import BackendHealth, CryptographicBackend, EnvironmentType

__all__ = ["to_model", "with_health"]


def to_model(backend: Backend, environment_type: EnvironmentType) -> CryptographicBackend:
    """Return what the backend shows of itself.

    Raises:
        PolicyViolation: a rule for backends in this environment is broken.
    """
    description = backend.description
    try:
        return CryptographicBackend(
            backend_id=backend.id,
            provider_type=backend.provider_type,
            environment_type=environment_type,
            security_level=description.security_level,
            security_evidence=description.evidence,
            accept_simulator=backend.accept_simulator,
            connection_uri=description.connection_uri,
            authentication_method=description.authentication_method,
            credential_source=description.credential_source,
        )
    except ValidationError as error:
        problems = "; ".join(e["msg"] for e in error.errors(include_input=False, include_url=False))
    raise PolicyViolation(problems, backend_id=backend.id)


def with_health(backend: CryptographicBackend, health: BackendHealth | None) -> CryptographicBackend:
    """Return the backend with how it is; ``None`` for one that was never checked."""
    if health is None:
        return backend
    return backend.model_copy(
        update={
            "availability_status": health.availability_status,
            "last_health_check": health.last_health_check,
            "health_check_status": health.health_check_status,
        }
    )
