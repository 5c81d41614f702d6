"""A report in a few lines, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from keyclave_contract_tests.report.text import counted, line
from keyclave_contract_tests.results import CaseResult, Report
from keyclave_contract_tests.vocabulary import State

__all__ = ["told"]

_BAD = (State.FAIL, State.ERROR, State.KNOWN_FAIL)


def told(report: Report) -> Iterator[str]:
    """Return the lines: what went wrong, what was earned, what stands in the way, and what was not shown.

    Each is printable, and cut where it is long.
    """
    return map(line, _told(report))


def _told(report: Report) -> Iterator[str]:
    for case in report.cases:
        if case.state in _BAD:
            yield from _case(case)
    states = Counter(case.state for case in report.cases)
    yield ", ".join(f"{states[state]} {state.value}" for state in State if states[state])
    for level in report.levels:
        if level.earned:
            yield f"{level.level.value}: earned ({level.passed} passed, {level.unsupported} unsupported)"
        else:
            yield f"{level.level.value}: not earned: {level.obstacles[0]}"
    yield from report.bounds
    if report.zoo.survivors:
        yield f"the suite does not work on this machine; it missed: {', '.join(report.zoo.survivors)}"
    if report.leftovers:
        yield f"could not be removed, run it again with --sweep: {', '.join(report.leftovers)}"
    if report.scheduled:
        last = max(key.gone_at for key in report.scheduled)
        yield f"{counted(len(report.scheduled), 'key')} will be deleted by the backend, the last on {last:%Y-%m-%d}"


def _case(case: CaseResult) -> Iterator[str]:
    subject = f" for {case.subject}" if case.subject else ""
    yield f"{case.state.value} {case.id}{subject}: {case.reason}"
    if case.example is not None:
        yield f"  with {case.example}"
