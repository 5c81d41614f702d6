"""How the backends are, checked each minute and watched through the calls to them: ``clave.health`` (FR-016).

The processes of a fleet share one state, and what is known of a backend is one row in it. That row is also what they
take turns by: whoever finds that the last check was begun a minute ago writes its own beginning there, and checks.
Each backend is watched by a thread of its own, so that one that does not answer holds up no other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from keyclave.errors import AuditUnavailable, KeyclaveError
from keyclave.models import (
    AvailabilityStatus,
    BackendHealth,
    CryptographicBackend,
    HealthCheckResult,
    OperationType,
    looks_like_key_material,
)
from keyclave.plugin import HealthReport
from keyclave.services.backends.hysteresis import after_calls, after_check
from keyclave.services.backends.view import with_health
from keyclave.services.fallback.outage import end_fallback
from keyclave.services.instance import Instance
from keyclave.services.periodic import Periodic
from keyclave.services.recording import Recorder
from keyclave.state.store import Transaction

__all__ = ["HealthService"]

_EVERY = timedelta(seconds=60)
"""Between the beginnings of two checks of a backend, whoever makes them."""
_LOOK = timedelta(seconds=2)
"""Between two looks at the calls, and at whether a check is due; so a check is at most this late, and never early."""
_CLOCKS_DIFFER = timedelta(minutes=5)
"""A check that was begun later than this in the future was stamped by a clock that was wrong."""
_DETAIL_LIMIT = 1024
_WITHHELD = "what it says looks like key material, and is not kept"
_Answer = tuple[HealthReport, CryptographicBackend]
_log = logging.getLogger("keyclave.health")


class HealthService:
    """Checks the backends, and watches the calls to them. Every call may be made from any thread."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder
        self._monitors = [
            Periodic(f"keyclave-health-{backend_id}", _LOOK, partial(self.look, backend_id))
            for backend_id in instance.backends.ids()
        ]

    def start(self) -> None:
        """Watch every configured backend from now on, in threads that end with this instance; again is no error.

        Each is checked once in 60 to 66 seconds, by one of the processes that share the state and watch.
        """
        for monitor in self._monitors:
            monitor.start()

    def stop(self) -> None:
        """Watch no more. A check that is under way is waited for, no longer than it may take."""
        for monitor in self._monitors:
            monitor.stop()

    def check(self) -> dict[str, HealthCheckResult]:
        """Check every configured backend now, due or not, and return the results by backend id.

        Each check is in the audit log. A backend that cannot be opened or asked is a result, not an error.

        Raises:
            StateUnavailable: the result cannot be kept.
            AuditUnavailable: the check cannot be recorded.
        """
        results = {}
        for backend_id in self._instance.backends.ids():
            self._watch_calls(backend_id)
            results[backend_id] = self._check(backend_id, self._ask_audited)
        return results

    def status(self) -> dict[str, BackendHealth]:
        """Return how each configured backend is that was ever checked, by backend id; none is asked.

        A circuit that is open in this process is always among it; those of others where they watch.
        """
        found = {}
        with self._instance.store.read() as state:
            for backend_id in self._instance.backends.ids():
                health = state.health.get(backend_id)
                if health is not None:
                    found[backend_id] = self._with_circuit(health)
        return found

    def look(self, backend_id: str) -> bool:
        """Take what became of the calls to a backend into account, and check it if that is due.

        ``start`` lets a thread do so all the time.

        Returns:
            Whether it was due.

        Raises:
            StateUnavailable: the state failed.
        """
        due = self._claim(backend_id)
        self._watch_calls(backend_id)
        if due:
            self._check(backend_id, self._ask)
        return due

    def _with_circuit(self, health: BackendHealth) -> BackendHealth:
        backend = self._instance.backends.opened(health.backend_id)
        opened_at = None if backend is None else backend.calls.breaker.opened_at
        return health if opened_at is None else health.model_copy(update={"circuit_opened_at": opened_at})

    def _claim(self, backend_id: str) -> bool:
        """Return whether a check is due and is this process's to make; then it is marked as begun."""
        with self._instance.store.read() as state:
            if not _is_due(state.health.get(backend_id), datetime.now(UTC)):
                return False
        with self._instance.store.write() as state:
            now = datetime.now(UTC)
            before = state.health.get(backend_id)
            if not _is_due(before, now):
                return False
            begun = before or BackendHealth(backend_id=backend_id, last_health_check=now)
            state.health.put(begun.model_copy(update={"last_health_check": now}))
        return True

    def _watch_calls(self, backend_id: str) -> None:
        backend = self._instance.backends.opened(backend_id)
        answered = None if backend is None else backend.calls.breaker.take_evidence()
        if backend is None or answered is None:
            return
        opened_at = backend.calls.breaker.opened_at
        conclude = partial(after_calls, answered=answered, circuit_opened_at=opened_at)
        with self._instance.store.read() as state:
            before = state.health.get(backend_id)
        if before is not None and conclude(before) != before:
            with self._instance.store.write() as state:
                self._conclude(state, state.health.get(backend_id) or before, conclude, None)

    def _check(self, backend_id: str, ask: Callable[[str], _Answer]) -> HealthCheckResult:
        started, checked_at = time.perf_counter(), datetime.now(UTC)
        shown = None
        try:
            report, shown = ask(backend_id)
            status, detail = report.status, report.detail
        except AuditUnavailable:
            raise
        except KeyclaveError as error:
            status, detail = AvailabilityStatus.UNAVAILABLE, error.message
        result = HealthCheckResult(
            status=status,
            checked_at=checked_at,
            latency=timedelta(seconds=time.perf_counter() - started),
            detail=_WITHHELD if looks_like_key_material(detail) else detail[:_DETAIL_LIMIT],
        )
        with self._instance.store.write() as state:
            before = state.health.get(backend_id)
            if before is None:
                before = BackendHealth(backend_id=backend_id, last_health_check=checked_at)
            after = self._conclude(state, before, partial(after_check, result=result), shown)
        if after.availability_status is AvailabilityStatus.AVAILABLE:
            end_fallback(self._instance, self._recorder, backend_id)
        return result

    def _ask(self, backend_id: str) -> _Answer:
        """Ask the backend how it is, opening it, and return its report and what it shows of itself."""
        backend = self._instance.backends.get(backend_id)
        return backend.check_health(), backend.standing()

    def _ask_audited(self, backend_id: str) -> _Answer:
        with self._recorder.operation(OperationType.HEALTH_CHECK, f"backend:{backend_id}") as operation:
            operation.backend_id = backend_id
            operation.backend_type = self._instance.backends.plugin_of(backend_id)
            answer = self._ask(backend_id)
            self._instance.audit.append(operation.success())
        return answer

    def _conclude(
        self,
        state: Transaction,
        before: BackendHealth,
        conclude: Callable[[BackendHealth], BackendHealth],
        shown: CryptographicBackend | None,
    ) -> BackendHealth:
        """Write how the backend is after an observation, and what it showed of itself; return how it is."""
        after = conclude(before)
        state.health.put(after)
        known = shown or state.backends.get(before.backend_id)
        if known is not None:
            state.backends.put(with_health(known, after))
        if after.availability_status is not before.availability_status:
            level = logging.INFO if after.availability_status is AvailabilityStatus.AVAILABLE else logging.WARNING
            _log.log(level, "backend %r is %s", before.backend_id, after.availability_status.value)
        return after


def _is_due(health: BackendHealth | None, now: datetime) -> bool:
    if health is None:
        return True
    since = now - health.last_health_check
    return since >= _EVERY or since < -_CLOCKS_DIFFER
