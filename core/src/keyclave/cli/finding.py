"""One thing that ``keyclave doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: what it is.
        status: ``ok``, ``problem``, or ``note`` for something to know.
        text: what was found.
        next_step: what to do about it; ``None`` for nothing.
    """

    area: str
    status: Literal["ok", "problem", "note"]
    text: str
    next_step: str | None = None
