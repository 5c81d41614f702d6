"""Its create_key returns nothing."""

from __future__ import annotations

from keyclave.plugin import BackendContext, CreateKeyRequest, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> None:
        """Make nothing."""


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("returns-none")
