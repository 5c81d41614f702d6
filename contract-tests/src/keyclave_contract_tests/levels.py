"""What was earned, and what stands in the way of the rest, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyclave.models import SecurityLevel
from keyclave.plugin import BackendDescription

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


def judged(cases: Sequence[CaseResult], description: BackendDescription, *, partial: bool) -> tuple[LevelResult, ...]:
    """Return the result of every level.

    Core also counts every security check, whichever level it belongs to. All other levels need Core. A level in
    which nothing passed is not earned: what a backend does not have, it cannot show. A check of a later contract than
    the backend was made for is a preview: it is reported, and counts for nothing. Hardware needs hardware.

    Args:
        cases: how the cases ended.
        description: what the backend said about itself when the run began.
        partial: whether any case was left out.
    """
    cases = [case for case in cases if case.since <= description.contract]
    core = _judged(Level.CORE, cases, (), partial=partial)
    rest = () if core.earned else ("the level Core, which every level needs, was not earned",)
    needs = {Level.HARDWARE: tuple(_missing_hardware(description))}
    return core, *(
        _judged(level, cases, (*needs.get(level, ()), *rest), partial=partial)
        for level in Level
        if level is not Level.CORE
    )


def _missing_hardware(description: BackendDescription) -> Iterator[str]:
    level = description.security_level
    if level is SecurityLevel.SOFTWARE:
        yield f"the backend shows no hardware: its security level is {level.value}"
    elif description.simulator:
        yield f"the backend is a simulator that stands for {level.value}"
    elif not any(sentence.strip() for sentence in description.evidence):
        yield f"the backend gives no evidence for its security level {level.value}"


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
