"""Its create_key returns a record of another hook."""

from __future__ import annotations

from keyclave.plugin import BackendContext, CreateKeyRequest, Signed, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> Signed:
        return Signed(signature=b"")


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("wrong-record")
