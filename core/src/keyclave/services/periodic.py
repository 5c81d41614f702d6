"""Do something again and again in a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from datetime import timedelta

from keyclave.errors import KeyclaveError

__all__ = ["Periodic"]

_SPREAD = 0.1
_log = logging.getLogger("keyclave.periodic")


class Periodic:
    """Calls a function at once, and then at intervals that vary, so that the processes of a fleet keep out of step.

    Args:
        name: of the thread.
        interval: between the end of one call and the next, 10 % more or less.
        function: what to call; what it raises is logged, and the next call is made all the same.
    """

    def __init__(self, name: str, interval: timedelta, function: Callable[[], object]) -> None:
        self._name = name
        self._seconds = interval.total_seconds()
        self._function = function
        self._changing = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._changing:
            if self._thread is not None and self._thread.is_alive():
                return
            self._ending = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._ending,), name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for the call that it is in."""
        with self._changing:
            thread, self._thread = self._thread, None
            self._ending.set()
        if thread is not None:
            thread.join()

    def is_ending(self) -> bool:
        """Return whether ``stop`` was called: a function that takes long can ask, and end early."""
        return self._ending.is_set()

    def _run(self, ending: threading.Event) -> None:
        while True:
            try:
                self._function()
            except KeyclaveError as error:
                _log.warning("%s: %s", self._name, error)
            except Exception:
                _log.exception("%s failed", self._name)
            if ending.wait(self._seconds * random.uniform(1 - _SPREAD, 1 + _SPREAD)):  # noqa: S311  not a secret
                return
