"""Of a fleet, one at a time does what is due in a backend; what one did, no other reports (FR-022)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.services.results import DueReport

from core.tests.databases import Place
from core.tests.fleet import fall_silent, node
from core.tests.services.failing import replaced
from core.tests.services.long_ago import long_ago
from core.tests.services.rotation.test_due_work import forgotten


@pytest.fixture
def fleet(place: Place, tmp_path: Path) -> Iterator[list[Keyclave]]:
    with ExitStack() as opened:
        yield [opened.enter_context(node(place, tmp_path / f"node{number}")) for number in range(3)]


def run_at_once(fleet: list[Keyclave]) -> list[DueReport]:
    reports: list[DueReport] = []
    together = threading.Barrier(len(fleet))

    def run(clave: Keyclave) -> None:
        together.wait()
        reports.append(clave.rotation.run_due())

    threads = [threading.Thread(target=run, args=(clave,)) for clave in fleet]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


def test_fr_022_a_backend_does_one_rotation_at_a_time_whoever_asks_for_it(fleet: list[Keyclave]) -> None:
    with long_ago():
        for number in range(6):
            fleet[0].keys.create(f"k{number}", "ED25519")
    at_work, most = 0, 0
    counting = threading.Lock()

    def count(real: Callable[..., Any], request: Any) -> Any:
        nonlocal at_work, most
        with counting:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.05)
        with counting:
            at_work -= 1
        return real(request)

    with ExitStack() as counted:
        for clave in fleet:
            counted.enter_context(replaced(clave, "create_key", count))
        reports = run_at_once(fleet)
    assert most == 1
    assert sorted(h.name for r in reports for h in r.rotated) == [f"k{number}" for number in range(6)]
    assert [failure for report in reports for failure in report.failed] == []


def test_fr_022_a_destruction_is_reported_once(fleet: list[Keyclave]) -> None:
    forgotten(fleet[0])
    fleet[0].rotation.run_due()
    reports = [report for _ in range(3) for report in run_at_once(fleet)]
    assert [(h.name, h.version) for r in reports for h in r.destroyed] == [("forgotten", 1)]
    assert [failure for report in reports for failure in report.failed] == []


def test_who_is_silent_while_it_destroys_reports_nothing(fleet: list[Keyclave]) -> None:
    here, there, _ = fleet
    forgotten(here)
    here.rotation.run_due()

    def be_too_late(real: Callable[..., Any], reference: Any) -> Any:
        fall_silent(here)
        fall_silent(here, "due-work:software")
        taken_over = there.rotation.run_due()
        assert (taken_over.recovered, taken_over.destroyed) == (1, ())
        return real(reference)

    with replaced(here, "destroy_key", be_too_late):
        report = here.rotation.run_due()
    assert (report.destroyed, report.failed) == ((), ())
    assert here.keys.versions("forgotten")[0].destroyed_at is not None
