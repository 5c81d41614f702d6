"""Reads a file that only its platform has."""

from __future__ import annotations

from keyclave.plugin import DetectionEvidence, Host, hookimpl

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    vendor = (host.root / "sys/class/dmi/id/zoo_vendor").read_text()
    return evidence("the vendor is known") if "zoo" in vendor else None
