"""Backends that import a key wrongly, or not the key that was sent."""

from __future__ import annotations
