"""Its description is of another plugin."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    def __init__(self, name: str) -> None:
        super().__init__(f"not-{name}")


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("describe-wrong")
