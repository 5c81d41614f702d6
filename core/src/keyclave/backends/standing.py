"""What an opened backend is, by the rules of the model: one that breaks a rule of its environment is never used."""

from __future__ import annotations

from pydantic import ValidationError

from keyclave.errors import PolicyViolation
from keyclave.models import CryptographicBackend
from keyclave.models.base import problems_of
from keyclave.plugin.records import BackendContext, BackendDescription

__all__ = ["standing"]


def standing(context: BackendContext, description: BackendDescription) -> CryptographicBackend:
    """Return what a backend shows of itself.

    Args:
        context: what it was opened with.
        description: what it said then.

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
            connection_uri=description.connection_uri,
            authentication_method=description.authentication_method,
            credential_source=description.credential_source,
            credential_named=description.credential_named,
        )
    except ValidationError as error:
        problems = problems_of(error)
    raise PolicyViolation(problems, backend_id=context.backend_id)
