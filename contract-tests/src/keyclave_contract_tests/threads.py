"""Several threads that begin at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from keyclave_contract_tests.violations import Violation

__all__ = ["SECONDS", "outcomes_of", "together"]

T = TypeVar("T")
SECONDS = 60.0
"""How long threads may take; a slow device makes five calls in a second."""


def together(*works: Callable[[], T]) -> list[T]:
    """Run functions at the same moment, a thread each, and return their results in order.

    Raises:
        Violation: one did not return in time.
        BaseException: what the first of them raised.
    """
    outcomes = outcomes_of(works)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes  # type: ignore[return-value]  # no exception is among them


def outcomes_of(works: Sequence[Callable[[], T]], *, seconds: float = SECONDS) -> list[T | BaseException]:
    """Run functions at the same moment, and return for each what it returned or raised.

    Raises:
        Violation: one did not return in time. Its thread cannot be stopped, and is left alone.
    """
    barrier = threading.Barrier(len(works))
    outcomes: dict[int, T | BaseException] = {}

    def run(place: int, work: Callable[[], T]) -> None:
        barrier.wait()
        try:
            outcomes[place] = work()
        except BaseException as error:  # told to the caller, an interrupt and a spent budget, too
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        if thread.is_alive():
            raise Violation(f"a call by one of {len(works)} threads did not return within {seconds:g} s")
    return [outcomes[place] for place in range(len(works))]
