"""Counts every call to the backend, times it, and ends the run when the budget is spent."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import quantiles

from keyclave_contract_tests.budgets import Budget
from keyclave_contract_tests.violations import OutOfBudget

__all__ = ["Meter", "Reading"]


class Reading:
    """What was spent between two moments.

    Attributes:
        calls: the number of calls to each hook.
        refused: how many of them raised.
        times: how long each took, in seconds.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.refused = 0
        self.times: list[float] = []

    def percentiles(self) -> tuple[float, float] | None:
        """Return median and 95th percentile of the time of a call, in milliseconds; ``None`` for fewer than two."""
        if len(self.times) < 2:  # noqa: PLR2004  what `quantiles` needs
            return None
        cuts = quantiles(self.times, n=20, method="inclusive")
        return cuts[9] * 1000, cuts[18] * 1000


class Meter:
    """The meter of one run. Safe to share between threads.

    Attributes:
        total: what the whole run spent.
        keys: how many keys were made.
    """

    def __init__(self, budget: Budget, on_call: Callable[[], None] = lambda: None) -> None:
        self.total = Reading()
        self.keys = 0
        self._budget = budget
        self._lock = threading.Lock()
        self._readings: list[Reading] = [self.total]
        self._on_call = on_call
        self._free = False

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Return what is spent within the block."""
        reading = Reading()
        with self._lock:
            self._readings.append(reading)
        try:
            yield reading
        finally:
            with self._lock:
                self._readings.remove(reading)

    @contextmanager
    def free(self) -> Iterator[None]:
        """Let the calls within the block be made even if the budget is spent: cleaning up is never left undone."""
        self._free = True
        try:
            yield
        finally:
            self._free = False

    @contextmanager
    def call(self, hook: str, *, makes_key: bool) -> Iterator[None]:
        """Count and time the call within the block.

        Raises:
            OutOfBudget: it may not be made.
        """
        with self._lock:
            spent = self.total.calls.total() >= self._budget.calls or (makes_key and self.keys >= self._budget.keys)
            if spent and not self._free:
                raise OutOfBudget
            self.keys += makes_key
            for reading in self._readings:
                reading.calls[hook] += 1
        started = time.perf_counter()
        try:
            yield
        except BaseException:
            with self._lock:
                for reading in self._readings:
                    reading.refused += 1
            raise
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                for reading in self._readings:
                    reading.times.append(seconds)
            self._on_call()
