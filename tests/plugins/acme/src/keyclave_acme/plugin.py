"""The entry point `acme`."""

from __future__ import annotations

from keyclave.models import EnvironmentType
from keyclave.plugin import (
    BackendContext,
    DetectionEvidence,
    Host,
    hookimpl,
)
from pydantic import BaseModel

from .backend import MemoryBackend
from .settings import AcmeSettings


@hookimpl
def settings_model() -> type[BaseModel]:
    return AcmeSettings


@hookimpl
def open_backend(settings: AcmeSettings, context: BackendContext) -> object:
    return MemoryBackend(settings)


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    if "ACME" not in host.environment:
        return None
    return DetectionEvidence(
        platform="acme",
        backend_type="acme",
        environment_type=EnvironmentType.STAGING,
        confidence=0.5,
        observations=("ACME is set",),
    )
