"""How durations are written in the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

__all__ = ["Duration"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _parse_duration(value: object) -> object:
    """Accept ``90d``, ``24h``, ``30m`` and ``10s`` beside what pydantic takes (ISO 8601, seconds)."""
    if not (isinstance(value, str) and value[-1:] in _UNITS and value[:-1].isdecimal()):
        return value
    try:
        return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
    except (OverflowError, ValueError):  # more digits than an int is read from
        raise ValueError("longer than any duration can be") from None


Duration = Annotated[timedelta, BeforeValidator(_parse_duration)]
