"""Its backend implements no hook."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

from .base import settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend:
    def __init__(self, name: str) -> None:
        self.name = name


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("no-hooks")
