"""Adds up what speaks for its platform, and so is sure to 120 percent."""

from __future__ import annotations

from keyclave.plugin import DetectionEvidence, Host, hookimpl
from msgspec import structs

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    clues = [(host.root / name).is_dir() for name in ("etc", "usr")]
    return structs.replace(evidence("directories are there"), confidence=0.6 * sum(clues)) if any(clues) else None
