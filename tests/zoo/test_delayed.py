"""A run against a backend that deletes keys later says which ones, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.report.writing import write
from keyclave_contract_tests.results import ZooResult
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.told import told

from tests.zoo.delayed import ZooDelayed
from tests.zoo.software import opened

CREATED_THEN_CALLED_OFF = {1, 133}


def test_what_is_deleted_later_is_named_once(tmp_path: Path) -> None:
    source = Made(make=partial(opened, ZooDelayed), plugin="software")
    wanted = lambda check: check.number in CREATED_THEN_CALLED_OFF  # noqa: E731  a name makes it no clearer
    with ContractRun(source, BUDGETS["smoke"], tmp_path, wanted=wanted) as run:
        run.run_all()
    report = run.report(ZooResult(faults=0, killed=0, survivors=()))
    assert report.leftovers == ()
    assert len({key.uri for key in report.scheduled}) == len(report.scheduled) == report.run.keys
    assert all(key.name.startswith(f"ct-{run.id}-") for key in report.scheduled)
    in_a_week = datetime.now(UTC) + timedelta(days=7)
    assert all(abs(key.gone_at - in_a_week) < timedelta(hours=1) for key in report.scheduled)
    number = f"{len(report.scheduled)} keys will be deleted by the backend, the last on {in_a_week:%Y-%m-%d}"
    assert number in list(told(report))

    paths = write(report, tmp_path / "report")
    assert paths[-1].name == "leftovers.json"
    written = json.loads(paths[-1].read_text())
    assert written["run"] == run.id
    assert written["left"] == []
    assert {key["uri"] for key in written["scheduled"]} == {key.uri for key in report.scheduled}
    assert report.scheduled[0].uri in paths[2].read_text()
