"""A right plugin, of which nothing but the module is looked at."""

from __future__ import annotations

from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, DetectionEvidence, Host, hookimpl
from pydantic import BaseModel

__all__ = ["detect", "evidence", "open_backend", "settings_model"]


class Settings(BaseModel, extra="forbid"):
    """None."""


@hookimpl
def settings_model() -> type[Settings]:
    return Settings


@hookimpl
def open_backend(settings: Settings, context: BackendContext) -> object:
    return object()


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    return evidence("the root directory is there") if (host.root / "etc").is_dir() else None


def evidence(observation: str) -> DetectionEvidence:
    """Return evidence of the platform that this plugin is for."""
    return DetectionEvidence(
        platform="zoo",
        backend_type="software",
        environment_type=EnvironmentType.LOCAL,
        confidence=0.5,
        observations=(observation,),
    )
