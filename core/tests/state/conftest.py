"""Stores in scratch databases, and the records to put into them. Every test of a ``place`` runs on both kinds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion
from keyclave.state.store import Store

from core.tests.databases import Place, on_server, sqlite_in
from core.tests.state import samples
from tests.services.postgresql import Server

KINDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql")))


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    """For what only SQLite has: files, pragmas, locks of a file."""
    return sqlite_in(tmp_path)


@pytest.fixture
def postgresql_place(server: Server, tmp_path: Path) -> Iterator[Place]:
    """For what only a server has."""
    with on_server(server, tmp_path) as place:
        yield place


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    made: Place = request.getfixturevalue(f"{request.param}_place")
    return made


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with contextlib.closing(place.open()) as opened:
        yield opened


@pytest.fixture
def populated(place: Place) -> Place:
    """An instance with something in every table; see `samples.populate`."""
    samples.populate_all(place)
    return place


@pytest.fixture
def populated_sqlite(sqlite_place: Place) -> Place:
    samples.populate_all(sqlite_place)
    return sqlite_place


@pytest.fixture(scope="module", params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A populated instance that the tests of a module share: each undoes what it did."""
    directory = tmp_path_factory.mktemp("kept")
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            place = sqlite_in(directory)
        else:
            place = stack.enter_context(on_server(request.getfixturevalue("server"), directory))
        samples.populate_all(place)
        yield place


@pytest.fixture
def raw(kept: Place) -> Iterator[Any]:
    """A connection to a populated instance that goes round Keyclave, in a transaction that is undone."""
    with kept.raw() as connection:
        if kept.kind == "sqlite":
            connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        yield connection
        connection.execute("ROLLBACK")


@pytest.fixture
def new_key() -> Callable[..., StoredKey]:
    return samples.new_key


@pytest.fixture
def new_version() -> Callable[..., StoredVersion]:
    return samples.new_version


@pytest.fixture
def new_intent() -> Callable[..., StoredIntent]:
    return samples.new_intent
