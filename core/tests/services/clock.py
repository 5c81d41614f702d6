"""A clock for one service that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType

import pytest
from keyclave.services.backends import health

__all__ = ["Clock"]


class Clock:
    """The time as a module sees it, that of the health service by default; it stands still until it is told to go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType = health) -> None:
        self.now = datetime.now(UTC)
        clock = self

        class Stopped(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one: it is stored
                return clock.now.astimezone(tz)

        monkeypatch.setattr(module, "datetime", Stopped)

    def go(self, *, seconds: float) -> None:
        """Let time pass, or go back."""
        self.now += timedelta(seconds=seconds)
