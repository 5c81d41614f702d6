"""It wraps sign in pluggy's old style."""

from __future__ import annotations

from collections.abc import Generator

from keyclave.plugin import BackendContext, KeyReference, Signed, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=bytes(64))

    @hookimpl(specname="sign", hookwrapper=True)
    def look_on(self, key: KeyReference, data: bytes, scheme: str) -> Generator[None, object, None]:
        yield


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("old-wrapper")
