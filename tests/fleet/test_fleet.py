"""Processes of a fleet in races, in a short form; ``nox -s fleet`` runs them in full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.databases import Place, on_server, sqlite_in
from tests.fleet.races import rotations, stopped
from tests.fleet.servers import killed_in_commit, restarted
from tests.services.postgresql import Server, running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield sqlite_in(tmp_path)
        return
    with on_server(request.getfixturevalue("server"), tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that tests may let crash."""
    with running() as started:
        yield started


def test_fr_017_of_processes_that_rotate_one_key_at_once_one_makes_the_new_version(
    place: Place, tmp_path: Path
) -> None:
    assert rotations(place, tmp_path, processes=4, races=10)["conflicts"] == 60


def test_a_process_that_is_stopped_past_its_lease_and_goes_on_is_fenced(place: Place, tmp_path: Path) -> None:
    assert stopped(place, tmp_path, lease_seconds=5, times=1)["fenced"] == 1


@pytest.mark.needs("postgresql")
def test_a_fleet_goes_on_after_its_server_crashed_and_nothing_that_was_answered_is_lost(
    server: Server, tmp_path: Path
) -> None:
    with on_server(server, tmp_path) as place:
        figures = restarted(server, place, tmp_path, processes=2, times=1)
    assert figures["signed"] > 0 < figures["rotated"]


@pytest.mark.needs("postgresql")
def test_a_session_that_is_killed_during_commit_leaves_no_outcome_to_guess(server: Server, tmp_path: Path) -> None:
    with on_server(server, tmp_path) as place:
        figures = killed_in_commit(server, place, tmp_path, processes=2, times=1)
    assert figures["signed"] > 0 < figures["rotated"]
