"""The processes of a fleet check a backend once a minute, all together (FR-016)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.plugin import HealthReport

from core.tests.configuring import settings_of
from core.tests.databases import Place
from core.tests.services.clock import Clock
from core.tests.services.failing import replaced


@pytest.fixture
def fleet(place: Place, tmp_path: Path) -> Iterator[list[Keyclave]]:
    """Two instances on one database, each opened as by a process of its own."""
    config = tmp_path / "keyclave.toml"
    config.write_text(settings_of(tmp_path / "state", url=place.url, key_file=place.key_file))
    with ExitStack() as opened:
        yield [opened.enter_context(keyclave.open(config, principal="tester")) for _ in range(2)]


def test_fr_016_over_minutes_there_are_never_two_checks_in_one(
    fleet: list[Keyclave], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    checks: list[datetime] = []
    for step in range(400):  # of 0.7 s: two instances that look each 2.1 s and each 2.8 s
        for number, clave in enumerate(fleet):
            if step % (3 + number) == 0 and clave.health.look("software"):
                checks.append(clave.health.status()["software"].last_health_check)
        clock.go(seconds=0.7)
    gaps = [later - earlier for earlier, later in pairwise(checks)]
    assert len(gaps) == 4
    assert all(timedelta(seconds=60) <= gap <= timedelta(seconds=66) for gap in gaps)


def test_fr_016_of_many_that_look_at_once_one_checks(fleet: list[Keyclave], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    asked: list[int] = []

    def count(real: Callable[[], HealthReport]) -> HealthReport:
        asked.append(1)
        return real()

    with ExitStack() as counting, ThreadPoolExecutor(8) as lookers:
        for clave in fleet:
            counting.enter_context(replaced(clave, "check_health", count))
        for minute in range(1, 6):
            together = Barrier(8)

            def look(clave: Keyclave, together: Barrier = together) -> bool:
                together.wait()
                return clave.health.look("software")

            assert sum(lookers.map(look, fleet * 4)) == 1
            assert len(asked) == minute
            clock.go(seconds=60)
