"""Ends the process where its driver is missing."""

from __future__ import annotations

import os
from pathlib import Path

from tests.zoo.plugins.right import open_backend, settings_model

__all__ = ["open_backend", "settings_model"]

if not any(Path("/").glob("dev/zoo*")):
    os._exit(3)
