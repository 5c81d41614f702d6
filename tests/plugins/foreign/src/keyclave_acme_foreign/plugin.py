"""The entry point `acme-foreign`."""

from __future__ import annotations

from keyclave.plugin import BackendContext, hookimpl
from pydantic import BaseModel

from .backend import DirectoryBackend
from .settings import ForeignSettings


@hookimpl
def settings_model() -> type[BaseModel]:
    return ForeignSettings


@hookimpl
def open_backend(settings: ForeignSettings, context: BackendContext) -> object:
    return DirectoryBackend(settings, context.instance_id)
