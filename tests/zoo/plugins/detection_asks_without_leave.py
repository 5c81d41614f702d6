"""Asks a fixed address whether it may or not, so that opening Keyclave would wait for the network."""

from __future__ import annotations

import socket

from keyclave.plugin import DetectionEvidence, Host, hookimpl

from tests.zoo.plugins.right import evidence, open_backend, settings_model

__all__ = ["detect", "open_backend", "settings_model"]


@hookimpl
def detect(host: Host) -> DetectionEvidence | None:
    try:
        socket.create_connection(("127.0.0.1", 1), host.timeout / 4).close()
    except OSError:
        return None
    return evidence("the service answers")
