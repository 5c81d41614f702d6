"""A database of an earlier revision is brought to the newest, with all that is in it and all its rules."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from keyclave.errors import Conflict
from keyclave.models import KeyStatus
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
        with place.raw() as connection:
            for column in LATER:
                connection.execute(f"ALTER TABLE key_versions ADD COLUMN {column}")
        samples.populate(place)
        with place.raw() as connection:
            for column in LATER:
                connection.execute(f"ALTER TABLE key_versions DROP COLUMN {column.split()[0]}")
    return place


LATER = ("validation_ends_at INTEGER", "own_algorithm TEXT")
"""Columns that this code writes and revision 0001 does not have. What they hold is NULL, so that no MAC changes."""


LATER_TABLES = {"clock", "backend_health", "fallbacks", "migration_plans", "migration_approvals"}
REPLACED = {
    f"trigger {name}"
    for name in ("key_versions_destroyed", "key_versions_first_status", "key_versions_status_edge", "keys_immutable")
}


def content(place: Place) -> dict[str, list[dict[str, object]]]:
    """Every row of every table of revision 0001, with the columns that are not NULL."""
    found = {}
    with place.raw() as connection:
        for table in METADATA.tables.keys() - LATER_TABLES:
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
            found[table] = sorted(({k: v for k, v in row.items() if v is not None} for row in rows), key=repr)
    return found


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
    assert content(old) == rows
    added = {_named(rule) for rule in rules(old)} - {_named(rule) for rule in in_force}
    of_tables_there_were = {
        name.rpartition(" ")[2]
        for name in added
        if not any(part in name for part in ("clock", "health", "migration", "fallbacks", "one_standby_version"))
    }
    assert of_tables_there_were == {
        *("key_versions_validation_insert", "key_versions_validation_update", "key_versions_own_algorithm"),
        *("key_versions_one_standby_insert", "key_versions_one_standby_update"),
        "keys_level",
    }
    assert {_named(rule) for rule in in_force - rules(old)} <= REPLACED


def test_fr_024_a_version_can_be_a_standby_after_the_upgrade_only(old: Place) -> None:
    key = samples.new_key("with-standby")

    def add() -> None:
        with contextlib.closing(old.open()) as store, store.write() as state:
            state.keys.add(key)
            state.keys.add_version(samples.new_version(key))
            state.keys.add_version(samples.new_version(key, 2, status=KeyStatus.STANDBY))

    with pytest.MonkeyPatch.context() as before:
        before.setattr(upgrade_module, "REVISIONS", REVISIONS[: REVISIONS.index("0007")])
        upgrade(old.url)
        with pytest.raises(Conflict, match="a new version is PENDING or ACTIVE"):
            add()
    upgrade(old.url)
    add()
    with old.raw() as connection:
        assert old.kind == "postgresql" or connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _named(rule: str) -> str:
    """A rule without its text, where its name is known."""
    return rule.partition(" CREATE TRIGGER")[0].strip()


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


def test_a_version_in_an_hsm_can_be_wrappable_after_the_upgrade_only(
    old: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = samples.new_key("wrappable")
    version = samples.new_version(key, hsm_backed=True, exportable=True)
    with monkeypatch.context() as before:
        before.setattr(upgrade_module, "REVISIONS", REVISIONS[: REVISIONS.index("0010")])
        upgrade(old.url)
        with contextlib.closing(old.open()) as store:
            with store.write() as state:
                state.keys.add(key)
            with pytest.raises(Conflict, match="hsm_is_not_exportable"), store.write() as state:
                state.keys.add_version(version)
    upgrade(old.url)
    with contextlib.closing(old.open()) as store:
        with store.write() as state:
            state.keys.add_version(version)
        with store.read() as state:
            assert state.keys.version(key.key_id, version.version) == version


def test_a_destruction_can_be_called_off_after_the_upgrade_only(old: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    key = samples.new_key("kept")
    version = samples.new_version(key, destroyed_at=None)
    intent = samples.new_intent(key, kind="cancel", from_version=None, to_version=1)
    with monkeypatch.context() as before:
        before.setattr(upgrade_module, "REVISIONS", REVISIONS[:2])
        upgrade(old.url)
        with (
            contextlib.closing(old.open()) as store,
            pytest.raises(Conflict, match="kind_is_known"),
            store.write() as state,
        ):
            state.intents.add(intent)
    upgrade(old.url)
    with contextlib.closing(old.open()) as store:
        with store.write() as state:
            state.keys.add(key)
            state.keys.add_version(version)
        with store.write() as state:
            state.keys.update_version(key.key_id, 1, status=KeyStatus.REVOKED, next_rotation_at=None)
            state.keys.update_version(key.key_id, 1, destroyed_at=datetime.now(UTC))
        for others in (
            samples.new_intent(key, kind="destroy", from_version=None, to_version=1),
            samples.new_intent(key, kind="cancel", from_version=None, to_version=2),
            samples.new_intent(samples.new_key("another"), kind="cancel", from_version=None, to_version=1),
        ):
            with store.write() as state:
                state.intents.add(others)
            with pytest.raises(Conflict, match="unless its destruction is called off"), store.write() as state:
                state.keys.update_version(key.key_id, 1, destroyed_at=None)
        with store.write() as state:
            state.intents.add(intent)
        with store.write() as state:
            assert state.keys.update_version(key.key_id, 1, destroyed_at=None).destroyed_at is None
            state.keys.update_version(key.key_id, 1, destroyed_at=datetime.now(UTC))
            state.intents.close(intent.operation_id, "done")
        with pytest.raises(Conflict, match="unless its destruction is called off"), store.write() as state:
            state.keys.update_version(key.key_id, 1, destroyed_at=None)
