"""Quotes the settings that it refuses."""

from __future__ import annotations

from typing import Any

from keyclave.errors import InvalidArgument
from keyclave.plugin import hookimpl
from pydantic import BaseModel, model_validator


class Settings(BaseModel, extra="allow"):
    """Looks at unknown settings itself."""

    slot: int = 0

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: dict[str, Any]) -> dict[str, Any]:
        if set(values) - {"slot"}:
            raise InvalidArgument(f"these are unknown: {values}")
        return values


@hookimpl
def settings_model() -> type[Settings]:
    return Settings
