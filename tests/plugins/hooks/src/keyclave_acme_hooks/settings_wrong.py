"""Its settings are no pydantic model."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

__all__ = ["open_backend", "settings_model"]


@hookimpl
def settings_model() -> type[object]:
    return dict


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return object()
