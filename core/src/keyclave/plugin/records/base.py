"""What all records are."""

from __future__ import annotations

import msgspec

__all__ = ["Record"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records."""

    # rich would show every field with it, in a traceback that shows variables as well; now it calls __repr__, which
    # leaves secrets out.
    __rich_repr__ = None  # type: ignore[assignment]
