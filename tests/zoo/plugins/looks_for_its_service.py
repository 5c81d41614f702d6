"""Looks for its service when it is imported."""

from __future__ import annotations

import socket

from tests.zoo.plugins.right import open_backend, settings_model

__all__ = ["open_backend", "settings_model"]

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.connect(("127.0.0.1", 4433))
