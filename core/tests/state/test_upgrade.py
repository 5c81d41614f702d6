"""A database of an earlier revision is brought to the newest, with all that is in it and all its rules."""

from __future__ import annotations

import contextlib

import pytest
from keyclave.errors import Conflict
from keyclave.state import upgrade as upgrade_module
from keyclave.state.schema import METADATA, REVISIONS
from keyclave.state.upgrade import upgrade

from core.tests.databases import Place
from core.tests.state import samples


@pytest.fixture
def old(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An instance at revision 0001, with something in every table."""
    if place.kind == "postgresql":
        with place.raw() as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    with monkeypatch.context() as before:
        before.setattr(upgrade_module, "REVISIONS", REVISIONS[:1])
        upgrade(place.url)
        samples.populate(place)
    return place


def content(place: Place) -> dict[str, list[object]]:
    with place.raw() as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in METADATA.tables}


def rules(place: Place) -> set[str]:
    """The names of all triggers and indexes."""
    with place.raw() as connection:
        if place.kind == "sqlite":
            query = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master WHERE type <> 'table'"
        else:
            query = (
                "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION SELECT indexdef FROM pg_indexes"
                " WHERE schemaname = 'public'"
            )
        return {name for (name,) in connection.execute(query).fetchall()}


def test_an_upgrade_keeps_every_row_and_every_rule(old: Place) -> None:
    rows, in_force = content(old), rules(old)
    upgrade(old.url)
    assert (content(old), rules(old)) == (rows, in_force)


def test_an_adoption_can_be_intended_after_the_upgrade_only(old: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    intent = samples.new_intent(samples.new_key("adopted"), kind="adopt", from_version=None)
    with monkeypatch.context() as before:
        before.setattr(upgrade_module, "REVISIONS", REVISIONS[:1])
        with (
            contextlib.closing(old.open()) as store,
            pytest.raises(Conflict, match="kind_is_known"),
            store.write() as state,
        ):
            state.intents.add(intent)
    upgrade(old.url)
    with contextlib.closing(old.open()) as store:
        with store.write() as state:
            state.intents.add(intent)
        with store.read() as state:
            assert intent in state.intents.open()
