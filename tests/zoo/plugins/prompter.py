"""Asks the user for a PIN when it looks for evidence."""

from __future__ import annotations

from keyclave.plugin import DetectionEvidence, Host, hookimpl
from keyclave_software.settings import SoftwareSettings


@hookimpl
def settings_model() -> type[SoftwareSettings]:
    return SoftwareSettings


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    input("PIN: ")
    return None
