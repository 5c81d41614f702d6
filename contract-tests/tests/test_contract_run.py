"""A whole run, on the backend in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from keyclave.plugin import DestroyResult, KeyReference, hookimpl
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.catalogue import catalogue, catalogue_sha256
from keyclave_contract_tests.miniature.backend import NAME, Miniature
from keyclave_contract_tests.miniature.proof import proof
from keyclave_contract_tests.results import Report, ZooResult
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.vocabulary import Level, State

ZOO = ZooResult(faults=5, killed=5, survivors=())


class Sticky(Miniature):
    """Destroys nothing."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        raise OSError("stuck")


def report(tmp_path: Path, *, make: type[Miniature] = Miniature, only: int | None = None) -> Report:
    source = Made(make=make, plugin=NAME)
    wanted = (lambda check: True) if only is None else (lambda check: check.number == only)
    with ContractRun(source, BUDGETS["standard"], tmp_path, seed=1, wanted=wanted) as run:
        run.run_all()
    return run.report(ZOO)


def test_the_miniature_earns_what_it_has(tmp_path: Path) -> None:
    found = report(tmp_path)
    wrong = [case for case in found.cases if case.state in {State.FAIL, State.ERROR, State.NOT_RUN}]
    assert {case.level for case in wrong} == {Level.DURABLE, Level.PARALLEL}  # it is gone with its handle
    assert {level.level for level in found.levels if level.earned} == {
        Level.CORE,
        Level.SIGN,
        Level.ENCRYPT,
        Level.ROTATE,
    }
    assert found.leftovers == ()


def test_a_filtered_run_is_partial_and_lists_what_it_left_out(tmp_path: Path) -> None:
    found = report(tmp_path, only=1)
    assert found.run.partial
    assert not any(level.earned for level in found.levels)
    assert {case.state for case in found.cases if case.id != catalogue()[0].id} == {State.NOT_RUN}


def test_keys_that_stay_are_named(tmp_path: Path) -> None:
    found = report(tmp_path, make=Sticky, only=1)
    assert len(found.leftovers) == 2
    assert all(name.startswith(f"ct-{found.run.id}-") for name in found.leftovers)


def test_the_report_carries_the_hash_of_the_catalogue(tmp_path: Path) -> None:
    assert report(tmp_path, only=1).suite.catalogue_sha256 == catalogue_sha256()


def test_the_miniature_zoo_is_found() -> None:
    assert proof() == ZOO


@pytest.mark.parametrize("check", catalogue(), ids=lambda check: check.id)
def test_every_check_states_a_property(check: object) -> None:
    title = check.title  # type: ignore[attr-defined]
    assert title.endswith(".")
    assert title[0].isupper()
    assert len(title) < 200
