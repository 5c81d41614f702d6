"""Its open_backend raises an exception of its own."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

from .base import settings_model

__all__ = ["open_backend", "settings_model"]


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    raise ZeroDivisionError("canary-in-the-text")
