"""How a backend is, from what was observed of it before and now: two alike in a row decide (FR-016).

One call that is lost does not make a backend unavailable, and one that gets through does not make it available.
"""

from __future__ import annotations

from datetime import datetime

from keyclave.models import AvailabilityStatus, BackendHealth, HealthCheckResult

__all__ = ["after_calls", "after_check"]

_DECIDES = 2


def after_check(before: BackendHealth, result: HealthCheckResult) -> BackendHealth:
    """Return how the backend is after a health check with this result."""
    begun = max(before.last_health_check, result.checked_at)  # another one may have begun meanwhile
    checked = before.model_copy(update={"health_check_status": result, "last_health_check": begun})
    return _observed(checked, passed=result.status is not AvailabilityStatus.UNAVAILABLE)


def after_calls(before: BackendHealth, *, answered: bool, circuit_opened_at: datetime | None) -> BackendHealth:
    """Return how the backend is after calls to it.

    Where they are answered though the last check was not, it is no more than DEGRADED.

    Args:
        before: how it was.
        answered: whether one of them was.
        circuit_opened_at: since when their process makes no more of them; ``None`` while it does.
    """
    after = _observed(before, passed=answered)
    if circuit_opened_at is None or after.availability_status is AvailabilityStatus.AVAILABLE:
        return after
    return after.model_copy(update={"circuit_opened_at": circuit_opened_at})


def _observed(before: BackendHealth, *, passed: bool) -> BackendHealth:
    failures = 0 if passed else min(before.failures + 1, _DECIDES)
    passes = min(before.passes + 1, _DECIDES) if passed else 0
    status = _after_pass(before, passes) if passed else _after_failure(before, failures)
    opened_at = None if status is AvailabilityStatus.AVAILABLE else before.circuit_opened_at
    return before.model_copy(
        update={
            "availability_status": status,
            "failures": failures,
            "passes": passes,
            "circuit_opened_at": opened_at,
        }
    )


def _after_failure(before: BackendHealth, failures: int) -> AvailabilityStatus:
    if failures == _DECIDES or before.availability_status is AvailabilityStatus.UNAVAILABLE:
        return AvailabilityStatus.UNAVAILABLE
    return AvailabilityStatus.DEGRADED


def _after_pass(before: BackendHealth, passes: int) -> AvailabilityStatus:
    if before.availability_status is not AvailabilityStatus.AVAILABLE and passes < _DECIDES:
        return before.availability_status
    result = before.health_check_status
    well = result is None or result.status is AvailabilityStatus.AVAILABLE
    return AvailabilityStatus.AVAILABLE if well else AvailabilityStatus.DEGRADED
