"""Repeat calls that a service on a network did not carry out: a few times, ever later, and within a budget.

`Throttled` and `BackendUnavailable` say that nothing changed, whatever the hook, so the same call may be made again.
The budget is the backend's: when much fails at once, most of it fails at once, and the service is not asked three
times by everybody. Nothing here is imported or run before a call has failed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from keyclave.errors import BackendUnavailable, KeyclaveError, Throttled

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Budget", "Retries"]

T = TypeVar("T")
_ATTEMPTS = 3
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_RETRYABLE = (Throttled, BackendUnavailable)
_log = logging.getLogger("keyclave.backends")


class Budget:
    """A number of tokens. Each retry takes one, and it can be taken again some time later.

    There is no lock, which a fork could leave closed: each of the two steps below is atomic. A thread that finds no
    token because another one holds it just then is refused, so that the budget is never overdrawn.
    """

    def __init__(
        self, tokens: int = 20, seconds: float = 10.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._free_at = deque([clock()] * tokens)

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        now = self._clock()
        try:
            free_at = self._free_at.popleft()
        except IndexError:
            return False
        free = free_at <= now
        self._free_at.append(now + self._seconds if free else free_at)
        return free


class Retries:
    """The retries of one backend, of its opening and of its calls.

    Args:
        budget: what its retries are taken from.
        sleep: waits for a number of seconds.
        clock: the monotonic time, in seconds.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget = Budget(clock=clock) if budget is None else budget
        self._sleep = sleep
        self._clock = clock

    def settle(
        self, failure: KeyclaveError, again: Callable[[float], T | KeyclaveError], deadline: float
    ) -> T | KeyclaveError:
        """Return what became of a call in the end: a result, or the last error.

        Args:
            failure: why the first attempt failed.
            again: makes the call again, within the seconds that it is given; it returns its error.
            deadline: when the time of the hook is used up, monotonic. A pause that would last as long is not made.
        """
        if not _may_succeed_later(failure):
            return failure
        from tenacity import Retrying, retry_if_result  # noqa: PLC0415  something has failed

        outcomes = [failure]

        def attempt() -> T | KeyclaveError:
            return outcomes.pop() if outcomes else again(deadline - self._clock())

        def stop(state: RetryCallState) -> bool:
            # A token is taken last: a pause that is not made costs none. One that is no number is not made either.
            in_time = self._clock() + state.upcoming_sleep < deadline
            return state.attempt_number == _ATTEMPTS or not in_time or not self._budget.take()

        retrying = Retrying(
            retry=retry_if_result(_may_succeed_later),
            wait=_pause,
            stop=stop,
            sleep=self._sleep,
            before_sleep=_tell,
            retry_error_callback=_last,
        )
        outcome: T | KeyclaveError = retrying(attempt)
        return outcome


def _may_succeed_later(outcome: object) -> bool:
    return isinstance(outcome, _RETRYABLE) and outcome.retryable


def _last(state: RetryCallState) -> object:
    assert state.outcome is not None  # noqa: S101  there was an attempt
    return state.outcome.result()


def _pause(state: RetryCallState) -> float:
    """Return how long to wait: at random, so that many callers do not come back together, and ever longer.

    What the service asked for comes on top: nobody comes back earlier than that.
    """
    from tenacity import wait_random_exponential  # noqa: PLC0415  as above

    jitter = wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE)(state)
    failure = _last(state)
    asked = failure.retry_after if isinstance(failure, Throttled) else None
    return jitter if asked is None else max(asked, 0.0) + jitter


def _tell(state: RetryCallState) -> None:
    _log.info("the call is made again in %.2f s: %s", state.upcoming_sleep, _last(state))
