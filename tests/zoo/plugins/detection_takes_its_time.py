"""Tries three times, and waits in between, as long as it takes."""

from __future__ import annotations

import time
from pathlib import Path

from keyclave.plugin import DetectionEvidence, Host, hookimpl

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    for _ in range(3):
        if (Path(host.root) / "dev/zoo0").exists():
            return evidence("the device is there")
        time.sleep(host.timeout)
    return None
