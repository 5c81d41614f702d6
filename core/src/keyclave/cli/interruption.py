"""Go on until the user, or who manages the process, has had enough."""

from __future__ import annotations

import signal
import threading

__all__ = ["until_interrupted"]


def until_interrupted() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set, instead of ending the process."""
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    return ending
