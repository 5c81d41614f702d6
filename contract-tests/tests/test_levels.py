from __future__ import annotations

from typing import Any

import pytest
from keyclave.models import AuthenticationMethod, SecurityLevel
from keyclave.plugin import BackendDescription, Location
from keyclave_contract_tests.cases import not_run
from keyclave_contract_tests.catalogue import CONTRACT, Case, Target, catalogue
from keyclave_contract_tests.levels import judged
from keyclave_contract_tests.results import CaseResult, LevelResult
from keyclave_contract_tests.vocabulary import Level, State
from msgspec import structs


def case(level: Level, state: State = State.PASS, *, security: bool = False) -> CaseResult:
    base = not_run(Case(check=catalogue()[0], target=Target()), "it broke")
    return structs.replace(base, level=level, state=state, security=security)


def described(level: SecurityLevel = SecurityLevel.HSM, **fields: Any) -> BackendDescription:
    base = BackendDescription(
        provider_type="acme",
        contract=CONTRACT,
        security_level=level,
        evidence=("the token says that it is hardware",),
        location=Location.DEVICE,
        authentication_method=AuthenticationMethod.API_KEY,
        algorithms=(),
    )
    return structs.replace(base, **fields)


def level(wanted: Level, *cases: CaseResult, description: BackendDescription | None = None) -> LevelResult:
    found = judged(cases, description or described(), partial=False)
    return next(result for result in found if result.level is wanted)


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
    found = judged([case(Level.CORE), case(Level.SIGN)], described(), partial=True)
    assert not any(result.earned for result in found)


def test_many_obstacles_are_counted() -> None:
    found = level(Level.CORE, *(case(Level.CORE, State.FAIL) for _ in range(30)))
    assert found.obstacles[-1] == "and 21 more"


def test_a_check_of_a_later_contract_counts_for_nothing() -> None:
    preview = structs.replace(case(Level.CORE, State.FAIL), since="2027.05")
    assert level(Level.CORE, case(Level.CORE), preview).earned
    later = judged([case(Level.CORE), preview], described(contract="2027.05"), partial=False)
    assert not later[0].earned


@pytest.mark.parametrize(
    ("description", "obstacle"),
    [
        (described(SecurityLevel.SOFTWARE), "the backend shows no hardware: its security level is SOFTWARE"),
        (described(simulator=True), "the backend is a simulator that stands for HSM"),
        (described(SecurityLevel.TPM, evidence=()), "the backend gives no evidence for its security level TPM"),
        (described(evidence=("  ",)), "the backend gives no evidence for its security level HSM"),
    ],
)
def test_hardware_is_not_earned_without_hardware(description: BackendDescription, obstacle: str) -> None:
    passed = (case(Level.CORE), case(Level.SIGN), case(Level.HARDWARE))
    assert level(Level.HARDWARE, *passed, description=description).obstacles == (obstacle,)
    assert level(Level.SIGN, *passed, description=description).earned


def test_hardware_is_earned_with_evidence() -> None:
    assert level(Level.HARDWARE, case(Level.CORE), case(Level.HARDWARE)).earned
