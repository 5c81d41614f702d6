"""Has settings that take what they do not know, so that a misspelt one is never noticed."""

from __future__ import annotations

from keyclave.plugin import hookimpl
from pydantic import BaseModel

from tests.zoo.plugins.right import open_backend

__all__ = ["open_backend", "settings_model"]


class Settings(BaseModel):
    """Whatever comes."""


@hookimpl
def settings_model() -> type[Settings]:
    return Settings
