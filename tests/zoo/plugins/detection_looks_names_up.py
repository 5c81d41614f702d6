"""Asks the name server for a name of its vendor, which tells the vendor's name server where Keyclave runs."""

from __future__ import annotations

import socket

from keyclave.plugin import DetectionEvidence, Host, hookimpl

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    if not host.network:
        return None
    try:
        socket.getaddrinfo("service.zoo.invalid", 443)
    except OSError:
        return None
    return evidence("the name is known")
