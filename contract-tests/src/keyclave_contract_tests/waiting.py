"""Wait for what a backend may show a little later: to another handle, or to another process."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["WINDOW", "eventually"]

WINDOW = 10.0
"""Seconds after which a change that was reported as made must be seen by every handle and process."""
_FIRST, _LONGEST = 0.02, 1.0


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether the condition holds, now or within the window; it is asked again ever more slowly."""
    deadline = time.monotonic() + WINDOW
    pause = _FIRST
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST)
    return True
