"""Sets logging up for the whole process, since its SDK says nothing otherwise."""

from __future__ import annotations

import logging

from tests.zoo.plugins.right import open_backend, settings_model

__all__ = ["open_backend", "settings_model"]

logging.basicConfig(level=logging.DEBUG)
