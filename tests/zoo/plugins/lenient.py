"""Takes settings that it does not know."""

from __future__ import annotations

from keyclave.plugin import hookimpl
from pydantic import BaseModel


class Settings(BaseModel):
    """Nothing is forbidden."""

    slot: int = 0


@hookimpl
def settings_model() -> type[Settings]:
    return Settings
