"""Recommends the plugin of another distribution."""

from __future__ import annotations

from keyclave.plugin import DetectionEvidence, Host, hookimpl
from msgspec import structs

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    return structs.replace(evidence("everybody has it"), backend_type="software-pro")
