"""Run one case, and say how it ended."""

from __future__ import annotations

import hashlib
import time
import traceback
from types import NoneType

from keyclave.errors import (
    AccessDenied,
    AuthenticationFailed,
    BackendUnavailable,
    CapabilityUnsupported,
    DeadlineExceeded,
    KeyclaveError,
    Throttled,
)
from msgspec import structs

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Case
from keyclave_contract_tests.meter import Reading
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.violations import OutOfBudget, Unsupported, Violation, expect, refused, type_name
from keyclave_contract_tests.vocabulary import State

__all__ = ["not_run", "run_case"]

_ENVIRONMENT = (BackendUnavailable, Throttled, DeadlineExceeded, AccessDenied, AuthenticationFailed)
"""What the world around a backend may cause; the backend is not to blame, and nothing was shown."""


def run_case(bench: Bench, case: Case, seed: int) -> CaseResult:
    """Run a case and return its result. Only an interrupt of the user leaves this function as an exception."""
    bench.begin(_seed_of(case, seed))
    started = time.perf_counter()
    with bench.meter.reading() as reading:
        state, reason = _outcome(bench, case, reading)
    percentiles = reading.percentiles()
    failed = state in {State.FAIL, State.ERROR}
    return structs.replace(
        not_run(case, reason),
        state=state,
        example=bench.example if failed else None,
        examples=bench.examples,
        planned=bench.planned,
        calls=reading.calls.total(),
        seconds=round(time.perf_counter() - started, 3),
        p50=None if percentiles is None else round(percentiles[0], 3),
        p95=None if percentiles is None else round(percentiles[1], 3),
    )


def not_run(case: Case, reason: str) -> CaseResult:
    """Return the result of a case that was left out."""
    check = case.check
    return CaseResult(
        id=check.id,
        subject=str(case.target),
        title=check.title,
        group=check.group,
        level=check.level,
        cost=check.cost,
        security=check.security,
        since=check.since,
        state=State.NOT_RUN,
        reason=reason,
    )


def _outcome(bench: Bench, case: Case, reading: Reading) -> tuple[State, str]:
    try:
        return _carried_out(bench, case, reading)
    except OutOfBudget:
        return State.NOT_RUN, f"the budget was spent after {bench.examples} of {bench.planned} examples"
    except Exception as error:
        return _blame(error, case)


def _carried_out(bench: Bench, case: Case, reading: Reading) -> tuple[State, str]:
    needs = case.check.needs
    missing = next((hook for hook in needs if not bench.subject.has(hook)), None)
    if missing is not None:
        return State.UNSUPPORTED, _probed(bench, missing)
    case.check.body(bench, case.target)
    if needs and not any(reading.calls[hook] for hook in needs):
        return State.ERROR, f"the check called none of {', '.join(needs)}, so it shows nothing"
    return State.PASS, ""


def _blame(error: Exception, case: Case) -> tuple[State, str]:
    """Return what an exception that ended a check says about the backend."""
    if isinstance(error, Violation):
        return State.FAIL, str(error)
    if isinstance(error, Unsupported):
        if error.hook in case.check.optional:
            return State.UNSUPPORTED, str(error)
        return State.FAIL, f"it has the capability, and refuses it: {error}"
    if isinstance(error, _ENVIRONMENT):
        return State.ERROR, f"the backend could not be used: {type_name(error)}"
    if isinstance(error, KeyclaveError):
        return State.FAIL, f"it raised {type_name(error)} where it should have answered"
    return State.ERROR, f"{type_name(error)} escaped, at {_place(error)}"


def _probed(bench: Bench, hook: str) -> str:
    """Show that a capability that is not there is refused as it should be, and that nothing changes."""
    before = bench.subject.list_keys() if bench.subject.has("list_keys") else ()
    refused(
        CapabilityUnsupported,
        f"calling {hook}, which the backend does not implement,",
        lambda: bench.subject.call(hook, NoneType),
    )
    after = bench.subject.list_keys() if bench.subject.has("list_keys") else ()
    expect(before == after, f"{hook} is not implemented, and calling it changed the keys of the backend")
    return f"the backend does not implement {hook}"


def _seed_of(case: Case, seed: int) -> int:
    digest = hashlib.sha256(f"{seed}:{case.check.id}:{case.target}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _place(error: BaseException) -> str:
    """Return where an exception came from, by module and line: its text could hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}, line {frames[-1].lineno}" if frames else "an unknown place"
