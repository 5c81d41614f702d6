"""Wait for what a backend may take a moment to show: another process's change, or another region's."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["SECONDS", "eventually"]

SECONDS = 10.0
"""How long a change by somebody else may stay unseen."""
_PAUSE = 0.2


def eventually(condition: Callable[[], bool], *, seconds: float = SECONDS) -> bool:
    """Return whether the condition holds, now or soon."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE)
    return True
