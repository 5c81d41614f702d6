"""What changed since a baseline: checks, levels, and first of all what makes the comparison doubtful."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from keyclave_contract_tests.report.comparison import compare, describe
from keyclave_contract_tests.results import CaseResult, Report
from keyclave_contract_tests.vocabulary import Evidence, Level, State

replace = msgspec.structs.replace
GOOD, BAD = {State.PASS}, {State.FAIL, State.ERROR, State.KNOWN_FAIL}


def _with_first(report: Report, **fields: Any) -> Report:
    return replace(report, cases=(replace(report.cases[0], **fields), *report.cases[1:]))


def _without(report: Report, case: CaseResult) -> Report:
    return replace(report, cases=tuple(one for one in report.cases if one is not case))


def test_nothing_changed(report: Report) -> None:
    comparison = compare(report, replace(report, run=replace(report.run, id="ffffffff", seconds=1.0)))
    assert describe(comparison) == "Nothing changed.\n"
    assert not any(getattr(comparison, field) for field in comparison.__struct_fields__)


def _expected(before: State, after: State) -> str:
    if before is after:
        return ""
    if after is State.NOT_RUN:
        return "worse"
    if before is State.NOT_RUN:
        return "worse" if after in BAD else "better"
    if before in BAD and after in BAD:
        return "other"
    return "better" if after is State.PASS or before in BAD else "worse"


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_every_change_of_state_is_in_one_list(report: Report, before: State, after: State) -> None:
    comparison = compare(_with_first(report, state=before), _with_first(report, state=after))
    found = [name for name in ("better", "worse", "other", "new", "gone") if getattr(comparison, name)]
    assert found == list(filter(None, [_expected(before, after)]))


def test_new_and_gone(report: Report) -> None:
    first = report.cases[0]
    assert [(one.id, one.before, one.after) for one in compare(_without(report, first), report).new] == [
        ("1-create-then-get", None, State.PASS)
    ]
    assert [(one.id, one.before, one.after) for one in compare(report, _without(report, first)).gone] == [
        ("1-create-then-get", State.PASS, None)
    ]


def test_levels_won_and_lost(report: Report, perfect: Report) -> None:
    won = (Level.SIGN, Level.WRAP, Level.DURABLE, Level.PARALLEL, Level.HARDWARE)
    assert compare(report, perfect).levels_won == compare(perfect, report).levels_lost == won
    assert compare(report, perfect).levels_lost == compare(perfect, report).levels_won == ()


def test_the_text_says_first_what_makes_it_doubtful(report: Report) -> None:
    now = replace(
        _with_first(report, state=State.FAIL, reason="it \x1b[1m broke"),
        suite=replace(report.suite, catalogue_sha256="00" * 32),
        target=replace(report.target, evidence=Evidence.EMULATOR),
        levels=(replace(report.levels[0], earned=False), *report.levels[1:]),
        run=replace(report.run, partial=True),
    )
    assert describe(compare(report, now)).splitlines() == [
        f"The catalogue of checks is another one: {'5f' * 32} before, {'00' * 32} now.",
        "The evidence is another one: live before, emulator now.",
        "The run is partial: some checks were left out.",
        "Level Core is lost.",
        "Worse: 1 check",
        "  1-create-then-get RSA_2048: PASS -> FAIL: it \\x1b[1m broke",
    ]


def test_a_check_that_was_repaired(report: Report) -> None:
    told = describe(compare(_with_first(report, state=State.FAIL), report))
    assert told == "Better: 1 check\n  1-create-then-get RSA_2048: FAIL -> PASS\n"
