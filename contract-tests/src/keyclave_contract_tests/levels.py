"""What was earned, and what stands in the way of the rest, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyclave_contract_tests.results import CaseResult, LevelResult
from keyclave_contract_tests.vocabulary import Level, State

__all__ = ["judged"]

_OBSTACLES = {
    State.FAIL: "failed",
    State.ERROR: "could not be carried out",
    State.KNOWN_FAIL: "is a known failure",
    State.NOT_RUN: "was not run",
}
_SHOWN = 10


def judged(cases: Sequence[CaseResult], *, partial: bool, contract: str) -> tuple[LevelResult, ...]:
    """Return the result of every level.

    Core also counts every security check, whichever level it belongs to. All other levels need Core. A level in
    which nothing passed is not earned: what a backend does not have, it cannot show. A check of a later contract than
    the backend was made for is a preview: it is reported, and counts for nothing.

    Args:
        cases: how the cases ended.
        partial: whether any was left out.
        contract: the contract version that the backend was made for.
    """
    cases = [case for case in cases if case.since <= contract]
    core = _judged(Level.CORE, cases, (), partial=partial)
    rest = () if core.earned else ("the level Core, which every level needs, was not earned",)
    return core, *(_judged(level, cases, rest, partial=partial) for level in Level if level is not Level.CORE)


def _judged(level: Level, cases: Sequence[CaseResult], obstacles: tuple[str, ...], *, partial: bool) -> LevelResult:
    counted = [c for c in cases if c.level is level or (level is Level.CORE and c.security)]
    passed = sum(c.state is State.PASS for c in counted)
    found = [*obstacles, *_obstacles(counted, passed, partial=partial)]
    return LevelResult(
        level=level,
        earned=not found,
        passed=passed,
        unsupported=sum(c.state is State.UNSUPPORTED for c in counted),
        total=len(counted),
        obstacles=tuple(found if len(found) <= _SHOWN else [*found[:_SHOWN], f"and {len(found) - _SHOWN} more"]),
    )


def _obstacles(counted: Sequence[CaseResult], passed: int, *, partial: bool) -> Iterator[str]:
    if partial:
        yield "the run was partial"
    if not passed:
        yield "none of its checks passed"
    for case in counted:
        if case.state in _OBSTACLES:
            where = f" for {case.subject}" if case.subject else ""
            yield f"{case.id}{where} {_OBSTACLES[case.state]}: {case.reason}"
