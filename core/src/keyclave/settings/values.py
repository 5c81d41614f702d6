"""How durations and paths are written in the settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

__all__ = ["Duration", "PathFromHome"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _parse_duration(value: object) -> object:
    """Accept ``90d``, ``24h``, ``30m`` and ``10s`` beside what pydantic takes (ISO 8601, seconds)."""
    if not (isinstance(value, str) and value[-1:] in _UNITS and value[:-1].isdecimal()):
        return value
    try:
        return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
    except (OverflowError, ValueError):  # more digits than an int is read from
        raise ValueError("longer than any duration can be") from None


def _require_named(path: object) -> object:
    """Refuse an environment variable that is set to nothing, which would stand for the working directory."""
    if path == "":
        raise ValueError("an empty path names nothing")
    return path


def _expand_home(path: Path) -> Path:
    """Put the home directory in the place of a leading ``~``, as a shell does."""
    if "\0" in str(path):
        raise ValueError("a path cannot hold a NUL")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("nobody knows the home directory that ~ stands for here") from None


Duration = Annotated[timedelta, BeforeValidator(_parse_duration)]
PathFromHome = Annotated[Path, BeforeValidator(_require_named), AfterValidator(_expand_home)]
