"""How the keystore is: readable, and writable."""

from __future__ import annotations

import os
from pathlib import Path

from keyclave.errors import KeyclaveError
from keyclave.models import AvailabilityStatus
from keyclave.plugin import HealthReport

from keyclave_software.limits import FILE_BYTES
from keyclave_software.protection import FILE_NAME, Protection
from keyclave_software.storage import load

__all__ = ["report"]


def report(directory: Path) -> HealthReport:
    """Return UNAVAILABLE if ``keystore.json`` cannot be read, DEGRADED if no file can be written in the directory."""
    try:
        content = load(directory / FILE_NAME, FILE_BYTES)
        if content is None:
            return HealthReport(status=AvailabilityStatus.UNAVAILABLE, detail=f"{FILE_NAME} is missing")
        Protection.decode(content.get_secret_value())
    except KeyclaveError as error:
        return HealthReport(status=AvailabilityStatus.UNAVAILABLE, detail=error.message)
    if not os.access(directory, os.W_OK):
        return HealthReport(status=AvailabilityStatus.DEGRADED, detail="no key can be created, changed or destroyed")
    return HealthReport(status=AvailabilityStatus.AVAILABLE)
