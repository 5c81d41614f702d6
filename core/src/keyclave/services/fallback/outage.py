"""A backend that is away, and the fallback that lasts as long: since when, and for how much longer (FR-024).

When a fallback began and ended is in the state, one row for a backend, which the processes of a fleet share and which
outlives them: no restart makes it longer, and neither does a process that gets answers while another one gets none.
What this process knows beside it is when to ask the backend again.
"""

from __future__ import annotations

import logging
import threading
import time
from copy import copy
from datetime import UTC, datetime, timedelta

from keyclave.errors import BackendError, KeyclaveError
from keyclave.models import OperationType
from keyclave.services.instance import Instance
from keyclave.services.recording import Recorder
from keyclave.state.records import StoredFallback
from keyclave.state.store import Transaction

__all__ = ["Outage", "end_fallback"]

_PAUSE = 5.0
"""Seconds between two calls that find out whether the backend is back, and between two looks at the state."""
_SAME = timedelta(minutes=1)
"""A fallback that begins so soon after the last one is the last one: a backend that comes and goes ends none."""
_LEVELS = {"WARNING": logging.WARNING, "ERROR": logging.ERROR}
_log = logging.getLogger("keyclave.fallback")


def end_fallback(instance: Instance, recorder: Recorder, backend_id: str) -> None:
    """End the fallback of a backend that is back, if one is under way."""
    with instance.store.read() as state:
        if not _is_under_way(state.fallbacks.get(backend_id)):
            return
    with recorder.operation(OperationType.END_FALLBACK, f"backend:{backend_id}") as operation:
        operation.backend_id, operation.backend_type = backend_id, instance.backends.plugin_of(backend_id)
        with instance.store.write() as state:
            if state.fallbacks.end(backend_id, datetime.now(UTC)) is None:
                return
            instance.audit.append_in(state, operation.success())
    _log.info("backend %r is back, and signs for its keys again", backend_id)


def _is_under_way(fallback: StoredFallback | None) -> bool:
    return fallback is not None and fallback.ended_at is None


class Outage:
    """What this process knows of one backend whose keys have standbys. Safe to share between threads.

    Args:
        instance: the instance.
        recorder: records when a fallback begins and ends.
        backend_id: the backend.
    """

    def __init__(self, instance: Instance, recorder: Recorder, backend_id: str) -> None:
        self._instance = instance
        self._recorder = recorder
        self._policy = instance.environment.fallback_policy
        self._backend_id = backend_id
        self._lock = threading.Lock()
        self._failure: BackendError | None = None
        self._ask_at = self._look_at = 0.0
        with instance.store.read() as state:
            last = state.fallbacks.get(backend_id)
        self._fallback = last if _is_under_way(last) else None
        """The fallback that this process takes part in, or that one left under way which is gone, perhaps."""

    @property
    def failure(self) -> BackendError | None:
        """Why the standby signs instead: a call that was not answered. ``None`` where it does not."""
        return None if self._failure is None or self._is_over() else copy(self._failure)

    def asks(self) -> bool:
        """Return whether the next call may ask the backend: while it is away, one in five seconds does."""
        now = time.monotonic()
        if now < self._ask_at:
            return False
        self._ask_at = now + _PAUSE  # the others do not wait for the answer
        return True

    def answered(self) -> None:
        """Take note of a call that the backend answered: a fallback that was under way ends, one of others too."""
        now = time.monotonic()
        if self._fallback is not None or now >= self._look_at:
            self._look_at = now + _PAUSE
            self._end()

    def refused(self) -> None:
        """Take note of a call that was answered, but not with a signature: the others ask the backend as well."""
        self._failure = None

    def allows(self, failure: BackendError) -> bool:
        """Take note of a call that the backend did not answer; return whether the standby may sign instead."""
        with self._lock:
            begins = self._failure is None
            self._fallback = fallback = self._go_on()
            self._failure = failure
            self._ask_at = time.monotonic() + _PAUSE
        if not self._is_over():
            if begins:
                self._warn(failure, fallback.begun_at)
            return True
        failure.next_step = (
            f"Make the backend available: the standbys of its keys sign no more, since they did so from"
            f" {fallback.begun_at:%Y-%m-%d %H:%M:%S} UTC as long as max_duration in [environment.fallback] allows."
        )
        return False

    def _is_over(self) -> bool:
        """Return whether the fallback has lasted as long as it may."""
        fallback, limit = self._fallback, self._policy.max_fallback_duration
        return fallback is not None and limit is not None and datetime.now(UTC) - fallback.begun_at >= limit

    def _go_on(self) -> StoredFallback:
        """Return the fallback that is under way, or begin one."""
        with self._instance.store.read() as state:
            last = state.fallbacks.get(self._backend_id)
        if last is not None and _is_under_way(last):
            return last
        with self._recorder.operation(OperationType.BEGIN_FALLBACK, f"backend:{self._backend_id}") as operation:
            operation.backend_id = self._backend_id
            operation.backend_type = self._instance.backends.plugin_of(self._backend_id)
            with self._instance.store.write() as state:
                last = state.fallbacks.get(self._backend_id)
                if last is not None and _is_under_way(last):
                    return last
                begun = self._begin_in(state, last)
                self._instance.audit.append_in(state, operation.success())
        return begun

    def _begin_in(self, state: Transaction, last: StoredFallback | None) -> StoredFallback:
        begun_at = now = datetime.now(UTC)
        if last is not None and last.ended_at is not None and now - last.ended_at < _SAME:
            begun_at = last.begun_at
        begun = StoredFallback(backend_id=self._backend_id, begun_at=begun_at, ended_at=None)
        state.fallbacks.put(begun)
        return begun

    def _warn(self, failure: BackendError, begun_at: datetime) -> None:
        limit = self._policy.max_fallback_duration
        _log.log(
            _LEVELS[self._policy.warning_level],
            "FR-024: backend %r is unavailable (%s): the standbys of its keys sign instead, %s",
            self._backend_id,
            failure.message,
            "until it is back" if limit is None else f"until {begun_at + limit:%Y-%m-%d %H:%M:%S} UTC at the latest",
        )

    def _end(self) -> None:
        with self._lock:
            try:
                end_fallback(self._instance, self._recorder, self._backend_id)
            except KeyclaveError as error:  # the signature that showed it is good; the next one tries again
                _log.warning("the fallback of backend %r is not ended yet: %s", self._backend_id, error)
                return
            self._fallback = self._failure = None
