"""What became of the calls to one backend, and whether more of them are made while none is answered.

A device that was unplugged or a service that is down is not asked by every caller, each of whom would wait for the
time limit and keep a thread. After some calls without an answer the circuit is open: calls fail at once, and one of
them is let through now and then. The first that is answered closes it again.

There is no lock, which a fork could leave closed. A count that two threads change at once is off by one, which does
no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from keyclave.errors import BackendUnavailable, DeadlineExceeded, KeyclaveError, OutcomeUnknown

__all__ = ["Breaker"]

_IN_A_ROW = 10
"""Calls without an answer, until no more are made."""
_PAUSE = 5.0
"""Seconds until one call is let through."""
_NO_ANSWER = (BackendUnavailable, DeadlineExceeded, OutcomeUnknown)


class Breaker:
    """The circuit breaker of one backend.

    Args:
        clock: the monotonic time, in seconds.

    Attributes:
        answered: set by whoever made a call that succeeded. It is all that a call pays for.
        opens: whether it ever stops calls; what computes in this process cannot go away.
        opened_at: since when calls fail at once, UTC; ``None`` while they are made.
    """

    __slots__ = ("_clock", "_failed", "_in_a_row", "_retry_at", "_succeeded", "answered", "opened_at", "opens")

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.answered = False
        self.opens = False
        self.opened_at: datetime | None = None
        self._clock = clock
        self._succeeded = self._failed = False
        self._in_a_row = 0
        self._retry_at = 0.0

    def refusal(self) -> BackendUnavailable | None:
        """Return the error of a call that is not made, or ``None`` if it may be made."""
        opened_at = self.opened_at
        if opened_at is None:
            return None
        if self.answered:
            self._close()
            return None
        now = self._clock()
        if now >= self._retry_at:
            self._retry_at = now + _PAUSE
            return None
        until = datetime.now(UTC) + timedelta(seconds=self._retry_at - now)
        return BackendUnavailable(
            f"no call is made until {until:%H:%M:%S} UTC, since none was answered as of {opened_at:%H:%M:%S} UTC",
            next_step="Make the backend available; `keyclave health` shows when it is.",
        )

    def note(self, failure: KeyclaveError) -> None:
        """Take note of a call that failed. One that the backend refused says nothing about it."""
        if not isinstance(failure, _NO_ANSWER):
            return
        if self.answered:
            self._close()
        self._failed = True
        self._in_a_row += 1
        if self.opens and self._in_a_row >= _IN_A_ROW:
            self._retry_at = self._clock() + _PAUSE
            self.opened_at = self.opened_at or datetime.now(UTC)

    def take_evidence(self) -> bool | None:
        """Return whether a call was answered since this was asked last; ``None`` if none was made."""
        if self.answered:
            self._close()
        succeeded, failed = self._succeeded, self._failed
        self._succeeded = self._failed = False
        return True if succeeded else False if failed else None

    def _close(self) -> None:
        self.answered = False
        self._succeeded = True
        self._in_a_row = 0
        self.opened_at = None
