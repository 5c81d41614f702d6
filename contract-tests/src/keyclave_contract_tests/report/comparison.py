"""What changed since another report, as ``--baseline`` shows it."""

from __future__ import annotations

from collections.abc import Iterator

from keyclave.plugin import Record

from keyclave_contract_tests.report.text import counted, line
from keyclave_contract_tests.results import CaseResult, Report
from keyclave_contract_tests.vocabulary import Level, State

__all__ = ["CaseChange", "Comparison", "compare", "describe"]

_WORTH = {State.PASS: 2, State.UNSUPPORTED: 1, State.KNOWN_FAIL: 0, State.FAIL: 0, State.ERROR: 0}


class CaseChange(Record, frozen=True, kw_only=True):
    """A check for one subject that came to something else.

    Attributes:
        id: of the check.
        subject: what it was run for; empty for the backend as a whole.
        before: how it ended in the baseline; ``None`` if it was not there.
        after: how it ends now; ``None`` if it is not there any more.
        reason: why it ends so now, in words.
    """

    id: str
    subject: str
    before: State | None
    after: State | None
    reason: str


class Comparison(Record, frozen=True, kw_only=True):
    """What is different from the baseline.

    Attributes:
        differences: what makes the two hard to compare, a sentence each, such as another catalogue of checks.
        better: checks that pass now or are shown not to apply, and were not so good before.
        worse: checks that ended better before, and those that did not run now.
        other: checks that still do not pass, in another way.
        new: checks that the baseline does not have.
        gone: checks that only the baseline has.
        levels_won: levels that are earned now and were not.
        levels_lost: levels that were earned and are not now.
    """

    differences: tuple[str, ...]
    better: tuple[CaseChange, ...]
    worse: tuple[CaseChange, ...]
    other: tuple[CaseChange, ...]
    new: tuple[CaseChange, ...]
    gone: tuple[CaseChange, ...]
    levels_won: tuple[Level, ...]
    levels_lost: tuple[Level, ...]


def compare(baseline: Report, report: Report) -> Comparison:
    """Return what changed from the baseline to the report, in the order of the report."""
    before, after = _by_key(baseline), _by_key(report)
    changed = [
        (_trend(before[key].state, case.state), _change(case, before[key].state, case.state))
        for key, case in after.items()
        if key in before and before[key].state is not case.state
    ]
    had, has = _levels(baseline), _levels(report)
    return Comparison(
        differences=tuple(_differences(baseline, report)),
        better=tuple(change for trend, change in changed if trend > 0),
        worse=tuple(change for trend, change in changed if trend < 0),
        other=tuple(change for trend, change in changed if trend == 0),
        new=tuple(_change(case, None, case.state) for key, case in after.items() if key not in before),
        gone=tuple(_change(case, case.state, None) for key, case in before.items() if key not in after),
        levels_won=tuple(level for level in Level if level in has - had),
        levels_lost=tuple(level for level in Level if level in had - has),
    )


def describe(comparison: Comparison) -> str:
    """Return the comparison as text: what makes it doubtful first, then levels, then checks."""
    told = [
        *comparison.differences,
        *(f"Level {level.value} is lost." for level in comparison.levels_lost),
        *(f"Level {level.value} is won." for level in comparison.levels_won),
    ]
    for title in ("worse", "better", "other", "new", "gone"):
        changes: tuple[CaseChange, ...] = getattr(comparison, title)
        if changes:
            told += [f"{title.capitalize()}: {counted(len(changes), 'check')}", *map(_told, changes)]
    return "\n".join(told or ["Nothing changed."]) + "\n"


def _differences(baseline: Report, report: Report) -> Iterator[str]:
    facts = (
        ("catalogue of checks", baseline.suite.catalogue_sha256, report.suite.catalogue_sha256),
        ("contract", baseline.suite.contract, report.suite.contract),
        ("plugin", baseline.plugin.name, report.plugin.name),
        ("evidence", baseline.target.evidence.value, report.target.evidence.value),
        ("budget", baseline.run.budget, report.run.budget),
    )
    for name, before, after in facts:
        if before != after:
            yield f"The {name} is another one: {line(before)} before, {line(after)} now."
    if report.run.partial:
        yield "The run is partial: some checks were left out."


def _trend(before: State, after: State) -> int:
    """Return whether a check is better (1), worse (-1) or as bad as before (0).

    A check that did not run shows nothing: not to run is worse than anything else, and a first result is better only
    if it is good.
    """
    if after is State.NOT_RUN:
        return -1
    if before is State.NOT_RUN:
        return 1 if _WORTH[after] else -1
    return (_WORTH[after] > _WORTH[before]) - (_WORTH[after] < _WORTH[before])


def _change(case: CaseResult, before: State | None, after: State | None) -> CaseChange:
    return CaseChange(
        id=case.id, subject=case.subject, before=before, after=after, reason=case.reason if after else ""
    )


def _told(change: CaseChange) -> str:
    name = line(f"{change.id} {change.subject}".strip())
    states = " -> ".join(state.value for state in (change.before, change.after) if state is not None)
    return f"  {name}: {states}" + (f": {line(change.reason)}" if change.reason else "")


def _by_key(report: Report) -> dict[tuple[str, str], CaseResult]:
    return {(case.id, case.subject): case for case in report.cases}


def _levels(report: Report) -> set[Level]:
    return {result.level for result in report.levels if result.earned}
