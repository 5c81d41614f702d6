"""Its describe raises an exception of its own."""

from __future__ import annotations

from typing import NoReturn

from keyclave.plugin import BackendContext, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    @hookimpl
    def describe(self) -> NoReturn:
        raise LookupError("canary-in-the-text")


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("describe-raises")
