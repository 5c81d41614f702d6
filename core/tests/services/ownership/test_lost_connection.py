"""The connection by which leases are renewed dies, for a moment or for longer than a lease lasts."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from keyclave import Keyclave
from keyclave.errors import StateUnavailable
from keyclave.services.ownership import leases

from core.tests.databases import Place, on_server
from core.tests.fleet import node
from tests.services.postgresql import Server, running

pytestmark = pytest.mark.needs("postgresql")

SECONDS = 3.0


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that tests may let crash."""
    with running() as started:
        yield started


@pytest.fixture
def own_place(own_server: Server, tmp_path: Path) -> Iterator[Place]:
    with on_server(own_server, tmp_path) as place:
        yield place


@pytest.fixture
def fleet(own_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Keyclave]]:
    monkeypatch.setattr(leases, "_DURATION", timedelta(seconds=SECONDS))
    with ExitStack() as opened:
        yield [opened.enter_context(node(own_place, tmp_path / name)) for name in ("here", "there")]


def end_connection(clave: Keyclave, place: Place) -> None:
    connection = clave._store._lease_writer.connection
    assert isinstance(connection, psycopg.Connection)
    with place.raw() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])


def test_a_lease_is_renewed_on_a_new_connection(
    fleet: list[Keyclave], own_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = fleet
    with here._owner.alone("work") as ours:
        end_connection(here, own_place)
        time.sleep(SECONDS * 1.2)
        with there._owner.alone("work") as taken:
            assert (ours(), taken()) == (True, False)
    assert "not renewed" not in caplog.text


def test_who_cannot_renew_its_lease_stops_in_time_and_goes_on_when_the_server_is_back(
    fleet: list[Keyclave], own_server: Server
) -> None:
    here, there = fleet
    with here._owner.alone("work") as ours:
        own_server.stop(signal.SIGQUIT)
        stopped = time.monotonic()
        while ours():
            time.sleep(0.05)
        assert time.monotonic() - stopped < SECONDS
        with pytest.raises(StateUnavailable), there._owner.alone("work"):
            pass
        own_server.start()
        while not taken_by(there):
            time.sleep(0.1)
        assert not ours()
    with here._owner.alone("work") as again:
        time.sleep(SECONDS * 1.2)
        assert again()


def taken_by(clave: Keyclave) -> bool:
    with clave._owner.alone("work") as taken:
        return taken()
