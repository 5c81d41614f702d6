"""Shows every variable that speaks for its platform."""

from __future__ import annotations

from keyclave.plugin import DetectionEvidence, Host, hookimpl

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    found = [f"{name} is {value}" for name, value in host.environment.items() if name.startswith("AWS_")]
    return evidence("; ".join(found)) if found else None
