"""An opened backend as the domain sees it, with how it is."""

from __future__ import annotations

from keyclave.models import BackendHealth, CryptographicBackend

__all__ = ["with_health"]


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
