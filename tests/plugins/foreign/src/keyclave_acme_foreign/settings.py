"""The settings of the plugin."""

from __future__ import annotations

from pathlib import Path

from keyclave.models import SecurityLevel
from keyclave.plugin import Location
from pydantic import BaseModel


class ForeignSettings(BaseModel, extra="forbid", frozen=True):
    """Where the keys are, and what it pretends to be."""

    keys: Path
    location: Location = Location.IN_PROCESS
    level: SecurityLevel = SecurityLevel.SOFTWARE
    page_size: int = 2
    deletion_days: int = 0
    missing: tuple[str, ...] = ()
