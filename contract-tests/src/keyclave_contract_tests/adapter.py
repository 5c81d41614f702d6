"""How the author of a backend adopts the suite: one class that says what to open, and nothing about the checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["BackendContract"]


class BackendContract:
    """Subclass this in a test module, and pytest collects every check of the suite for your backend.

    Only what is declared here may be set; a subclass with anything else is refused, so that no check can be
    replaced.

    Attributes:
        plugin: the name of the installed plugin, its entry point.
        budget: ``smoke``, ``standard`` or ``deep``.
        accept_simulator: whether a simulator may stand for the real thing.
        ledger: the path of the ledger of known failures, from the directory of the test module; ``None`` for none.

    Examples:
        >>> class TestAcme(BackendContract):
        ...     plugin = "acme"
        ...
        ...     @classmethod
        ...     def settings(cls, directory):
        ...         return {"store": str(directory / "store")}
    """

    plugin: ClassVar[str]
    budget: ClassVar[str] = "standard"
    accept_simulator: ClassVar[bool] = False
    ledger: ClassVar[str | None] = None

    @classmethod
    def settings(cls, directory: Path) -> Mapping[str, Any]:
        """Return the plugin's own settings, those below ``[backends.<id>]``.

        Args:
            directory: a new directory for this run alone, of mode 0700.
        """
        return {}
