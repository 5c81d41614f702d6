"""It wraps sign, where only the core may look on."""

from __future__ import annotations

from collections.abc import Generator

from keyclave.plugin import BackendContext, KeyReference, Signed, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return Signed(signature=bytes(64))

    @hookimpl(specname="sign", wrapper=True)
    def look_on(self, key: KeyReference, data: bytes, scheme: str) -> Generator[None, Signed, Signed]:
        return (yield)


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("wrapper")
