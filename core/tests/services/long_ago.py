"""Let keys be created, rotated and migrated so long ago that the retention of what they left behind has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo

from keyclave.services import generation, migration_approval, migration_notes, new_keys, promotion

__all__ = ["long_ago"]

_MODULES = (generation, migration_approval, migration_notes, new_keys, promotion)


class _LongAgo(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one: it is stored
        return datetime.now(tz) - timedelta(days=100)


@contextmanager
def long_ago() -> Iterator[None]:
    """Let the body happen 100 days ago."""
    for module in _MODULES:
        vars(module)["datetime"] = _LongAgo
    try:
        yield
    finally:
        for module in _MODULES:
            vars(module)["datetime"] = datetime
