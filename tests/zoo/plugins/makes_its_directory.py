"""Makes the directory that it will need when a backend is opened, for now in a scratch place."""

from __future__ import annotations

import tempfile

from tests.zoo.plugins.right import open_backend, settings_model

__all__ = ["open_backend", "settings_model"]

directory = tempfile.TemporaryDirectory()
