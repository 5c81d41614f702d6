"""Imports the SDK with the module, since every example does."""

from __future__ import annotations

import pkcs11  # noqa: F401  this is the mistake

from tests.zoo.plugins.right import open_backend, settings_model

__all__ = ["open_backend", "settings_model"]
