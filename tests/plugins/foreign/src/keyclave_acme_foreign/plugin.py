"""The entry point `acme-foreign`."""

from __future__ import annotations

import json

from keyclave.plugin import BackendContext, hookimpl
from pydantic import BaseModel

from .backend import DirectoryBackend
from .delaying import DelayingBackend
from .settings import ForeignSettings


@hookimpl
def settings_model() -> type[BaseModel]:
    return ForeignSettings


@hookimpl
def open_backend(settings: ForeignSettings, context: BackendContext) -> object:
    kind = DelayingBackend if settings.deletion_days else DirectoryBackend
    return kind(settings, context.instance_id)


@hookimpl
def permissions_policy(settings: ForeignSettings | None) -> str:
    allowed = "acme:*" if settings is None else f"acme:Use:{settings.keys.name}"
    return json.dumps({"allow": [allowed]})
