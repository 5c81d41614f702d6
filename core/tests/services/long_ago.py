"""Let keys be created, rotated and migrated so long ago that the retention of what they left behind has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo

from keyclave.services.keys import generation, new_keys
from keyclave.services.migration import approval, notes
from keyclave.services.rotation import promotion

__all__ = ["long_ago"]

_MODULES = (generation, approval, notes, new_keys, promotion)


@contextmanager
def long_ago(days: float = 100) -> Iterator[None]:
    """Let the body happen 100 days ago, or as many as are given; a negative number is in the future."""

    class LongAgo(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one: it is stored
            return datetime.now(tz) - timedelta(days=days)

    for module in _MODULES:
        vars(module)["datetime"] = LongAgo
    try:
        yield
    finally:
        for module in _MODULES:
            vars(module)["datetime"] = datetime
