"""The suite's own proof: right backends pass every time, and every fault is found by the checks meant for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.catalogue import catalogue
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.vocabulary import State

from tests.services.catalog import problem, required
from tests.zoo.delayed import ZooDelayed
from tests.zoo.fault import Fault, all_faults
from tests.zoo.hunt import hunt
from tests.zoo.pkcs11 import SECRET_PIN, ZooPkcs11
from tests.zoo.pkcs11 import opened as opened_on_token
from tests.zoo.software import ZooSoftware, opened

CONTROLS = 20
FEWEST_FAULTS = 70
HUNTS = [(fault, number) for fault in all_faults() for number in fault.kills]


@pytest.mark.parametrize("run_number", range(CONTROLS))
def test_the_right_backend_passes(run_number: int, tmp_path: Path) -> None:
    source = Made(make=partial(opened, ZooSoftware), plugin="software", guarded=run_number % 2 == 0)
    with ContractRun(source, BUDGETS["standard"], tmp_path, seed=run_number) as run:
        run.run_all()
    wrong = [r for r in run.results.values() if r.state not in {State.PASS, State.UNSUPPORTED}]
    assert not wrong, [f"{r.id} for {r.subject}: {r.state.value}: {r.reason} ({r.example})" for r in wrong]
    assert run.leftovers == ()


@pytest.mark.needs("softhsm")
@pytest.mark.parametrize("guarded", [True, False], ids=["plugin", "object"])
def test_the_right_token_passes(tmp_path: Path, *, guarded: bool) -> None:
    """What the faulty ones are made from passes every check that kills one of them."""
    killers = {number for fault in all_faults() if fault.plugin == "pkcs11-hsm" for number in fault.kills}
    source = Made(
        make=partial(opened_on_token, ZooPkcs11), plugin="pkcs11-hsm", guarded=guarded, hidden=(SECRET_PIN,)
    )
    with ContractRun(source, BUDGETS["standard"], tmp_path, wanted=lambda check: check.number in killers) as run:
        run.run_all()
    assert {(r.state, r.reason) for r in run.results.values()} <= {(State.PASS, ""), (State.UNSUPPORTED, "")}


@pytest.mark.parametrize("guarded", [True, False], ids=["plugin", "object"])
@pytest.mark.parametrize("number", [17, 20, 133, 134])
def test_the_right_delaying_backend_passes(number: int, tmp_path: Path, *, guarded: bool) -> None:
    source = Made(make=partial(opened, ZooDelayed), plugin="software", guarded=guarded)
    with ContractRun(source, BUDGETS["standard"], tmp_path, wanted=lambda check: check.number == number) as run:
        run.run_all()
    assert [(r.state, r.reason) for r in run.results.values()] == [(State.PASS, "")]


@pytest.mark.parametrize("number", [112, 113, 114])
def test_the_right_plugin_passes(number: int, tmp_path: Path) -> None:
    source = Made(
        make=partial(opened, ZooSoftware), plugin="software", guarded=False, entry_point="tests.zoo.plugins.right"
    )
    with ContractRun(source, BUDGETS["smoke"], tmp_path, wanted=lambda check: check.number == number) as run:
        run.run_all()
    assert [(r.state, r.reason) for r in run.results.values()] == [(State.PASS, "")]


@pytest.mark.parametrize("guarded", [True, False], ids=["plugin", "object"])
@pytest.mark.parametrize(("fault", "number"), HUNTS, ids=[f"{f.name.replace(' ', '-')}-{n}" for f, n in HUNTS])
def test_the_fault_is_killed_by_the_check_meant_for_it(fault: Fault, number: int, *, guarded: bool) -> None:
    for service in fault.services:
        if reason := problem(service):
            (pytest.fail if required() else pytest.skip)(f"needs {service}: {reason}")
    found = hunt(fault, number, guarded=guarded)
    assert found.killed, f"{fault.name} survived check {number}, which said: {found.found or 'nothing'}"


def test_every_check_kills_a_fault() -> None:
    killers = {number for fault in all_faults() for number in fault.kills}
    assert sorted({check.number for check in catalogue()} - killers) == []


def test_there_are_enough_faults() -> None:
    assert len(all_faults()) >= FEWEST_FAULTS
