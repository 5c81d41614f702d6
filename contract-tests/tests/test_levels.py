from __future__ import annotations

import pytest
from keyclave_contract_tests.cases import not_run
from keyclave_contract_tests.catalogue import CONTRACT, Case, Target, catalogue
from keyclave_contract_tests.levels import judged
from keyclave_contract_tests.results import CaseResult, LevelResult
from keyclave_contract_tests.vocabulary import Level, State
from msgspec import structs


def case(level: Level, state: State = State.PASS, *, security: bool = False) -> CaseResult:
    base = not_run(Case(check=catalogue()[0], target=Target()), "it broke")
    return structs.replace(base, level=level, state=state, security=security)


def level(wanted: Level, *cases: CaseResult, partial: bool = False) -> LevelResult:
    return next(found for found in judged(cases, partial=partial, contract=CONTRACT) if found.level is wanted)


def test_a_level_is_earned_by_passing() -> None:
    found = level(Level.SIGN, case(Level.CORE), case(Level.SIGN), case(Level.SIGN, State.UNSUPPORTED))
    assert (found.earned, found.passed, found.unsupported, found.total) == (True, 1, 1, 2)


@pytest.mark.parametrize("state", [State.FAIL, State.ERROR, State.KNOWN_FAIL, State.NOT_RUN])
def test_anything_but_passing_stands_in_the_way(state: State) -> None:
    found = level(Level.SIGN, case(Level.CORE), case(Level.SIGN), case(Level.SIGN, state))
    assert not found.earned
    assert "it broke" in found.obstacles[0]


def test_what_a_backend_does_not_have_it_does_not_earn() -> None:
    found = level(Level.WRAP, case(Level.CORE), case(Level.WRAP, State.UNSUPPORTED))
    assert found.obstacles == ("none of its checks passed",)


def test_every_level_needs_core() -> None:
    found = level(Level.SIGN, case(Level.CORE, State.FAIL), case(Level.SIGN))
    assert "Core" in found.obstacles[0]


def test_core_counts_every_security_check() -> None:
    assert not level(Level.CORE, case(Level.CORE), case(Level.WRAP, State.FAIL, security=True)).earned


def test_a_partial_run_earns_nothing() -> None:
    found = judged([case(Level.CORE), case(Level.SIGN)], partial=True, contract=CONTRACT)
    assert not any(result.earned for result in found)


def test_many_obstacles_are_counted() -> None:
    found = level(Level.CORE, *(case(Level.CORE, State.FAIL) for _ in range(30)))
    assert found.obstacles[-1] == "and 21 more"


def test_a_check_of_a_later_contract_counts_for_nothing() -> None:
    preview = structs.replace(case(Level.CORE, State.FAIL), since="2027.05")
    assert level(Level.CORE, case(Level.CORE), preview).earned
    later = judged([case(Level.CORE), preview], partial=False, contract="2027.05")
    assert not later[0].earned
