"""Processes of services: those that another process started are stopped by their number."""

from __future__ import annotations

import os
import signal
import time

__all__ = ["stop_process"]

_STOP_SECONDS = 60


def stop_process(process: int, how: signal.Signals) -> None:
    """Send a signal, and return when the process is gone, as it may be already.

    Raises:
        RuntimeError: it is still there after a minute.
    """
    deadline = time.monotonic() + _STOP_SECONDS
    try:
        os.kill(process, how)
        while time.monotonic() < deadline:
            os.kill(process, 0)
            time.sleep(0.05)
    except ProcessLookupError:
        return
    raise RuntimeError(f"process {process} does not stop")
