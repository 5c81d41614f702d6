"""It implements a hook of plugin modules that does not exist."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

from .base import settings_model

__all__ = ["open_backend", "open_backends", "settings_model"]


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return object()


@hookimpl
def open_backends(settings: object, context: BackendContext) -> object:
    return object()
