"""Its backend does not say what it is."""

from __future__ import annotations

from keyclave.models import AvailabilityStatus
from keyclave.plugin import BackendContext, HealthReport, hookimpl

from .base import settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend:
    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def check_health(self) -> HealthReport:
        return HealthReport(status=AvailabilityStatus.AVAILABLE)


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("no-describe")
