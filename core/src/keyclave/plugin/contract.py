"""The versions of the plugin contract, that is of the hooks and the records."""

from __future__ import annotations

__all__ = ["CONTRACTS"]

CONTRACTS: tuple[str, ...] = ("2026.11",)
"""The contract versions that this keyclave works with, ``YYYY.MM``, the newest last. A plugin states the one that it
was made for, written out, in ``BackendDescription.contract``."""
