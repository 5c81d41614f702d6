"""Its sign is a coroutine."""

from __future__ import annotations

from keyclave.plugin import BackendContext, KeyReference, Signed, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    @hookimpl
    async def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=bytes(64))


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("asynchronous")
