"""A database of an earlier revision is brought to the newest, with all that is in it and all its rules."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from keyclave.audit.log import AuditLog
from keyclave.audit.operations import entry_of
from keyclave.errors import Conflict
from keyclave.models import KeyStatus
from keyclave.plugin.files import create_private, private_directory
from keyclave.state import upgrade as upgrade_module
from keyclave.state.schema import REVISIONS
from keyclave.state.upgrade import upgrade

from core.tests.databases import Place
from core.tests.state import samples
from core.tests.state.raw_sql import HEX, copy, error_of, new_version

WRITTEN = json.loads(Path(__file__).with_name("written_at_0001.json").read_text())
"""What the code of revision 0001 wrote: something in every table, and an audit log of two records."""


@pytest.fixture
def old(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An instance at revision 0001, with something in every table."""
    if place.kind == "postgresql":
        with place.raw() as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    upgrade_to(place, "0001", monkeypatch)
    private_directory(place.key_file.parent)
    create_private(place.key_file, bytes.fromhex(WRITTEN["instance_key"]))
    with place.raw() as connection, disarmed(place, connection):
        for table, rows in WRITTEN["tables"].items():
            for row in rows:
                mark = "?" if place.kind == "sqlite" else "%s"
                names, marks = ", ".join(row), ", ".join([mark] * len(row))
                values = [bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for v in row.values()]
                connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
    return place


def upgrade_to(place: Place, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(upgrade_module, "REVISIONS", REVISIONS[: REVISIONS.index(revision) + 1])
        upgrade(place.url)


@contextlib.contextmanager
def disarmed(place: Place, connection: Any) -> Iterator[None]:
    """Let no rule refuse what was written under it, in another order."""
    if place.kind == "postgresql":
        connection.execute("SET session_replication_role = replica")
        yield
        return
    rules = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in rules:
        connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, statement in rules:
        connection.execute(statement)


REPLACED = {
    *(
        f"trigger {name}"
        for name in (
            *("key_versions_destroyed", "key_versions_first_status", "key_versions_status_edge", "keys_immutable"),
            *("audit_head_new", "audit_head_last_record"),
        )
    ),
    "CREATE UNIQUE INDEX operations_pkey ON public.operations USING btree (sequence)",
}


def content(place: Place) -> dict[str, list[dict[str, object]]]:
    """Every row of every table of revision 0001, with the columns that it had and that are not NULL."""
    found = {}
    with place.raw() as connection:
        for table in WRITTEN["tables"]:
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
    (head,) = rows["audit_head"]
    rows["audit_head"] = [{"chain" if name == "singleton" else name: value for name, value in head.items()}]
    rows["operations"] = [{**row, "chain": 1} for row in rows["operations"]]
    upgraded = content(old)
    assert {table: _sorted(found) for table, found in upgraded.items()} == {t: _sorted(r) for t, r in rows.items()}
    added = {_named(rule) for rule in rules(old)} - {_named(rule) for rule in in_force}
    of_tables_there_were = {
        name.rpartition(" ")[2]
        for name in added
        if not any(
            part in name for part in ("clock", "health", "migration", "fallbacks", "leases", "one_standby_version")
        )
    } - {"sequence)"}
    assert of_tables_there_were == {
        *("key_versions_validation_insert", "key_versions_validation_update", "key_versions_own_algorithm"),
        *("key_versions_one_standby_insert", "key_versions_one_standby_update"),
        "keys_level",
    }
    assert {_named(rule) for rule in in_force - rules(old)} <= REPLACED


def test_fr_024_a_version_can_be_a_standby_after_the_upgrade_only(
    old: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = samples.new_key("with-standby")
    upgrade_to(old, "0006", monkeypatch)
    with old.raw() as connection:
        refused = error_of(connection, ("BEGIN", *new_version(status="'STANDBY'")))
        connection.execute("ROLLBACK")
    assert "a new version is PENDING or ACTIVE" in str(refused)
    upgrade(old.url)
    with contextlib.closing(old.open()) as store, store.write() as state:
        state.keys.add(key)
        state.keys.add_version(samples.new_version(key))
        state.keys.add_version(samples.new_version(key, 2, status=KeyStatus.STANDBY))
    with old.raw() as connection:
        assert old.kind == "postgresql" or connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _sorted(rows: list[dict[str, object]]) -> list[list[tuple[str, object]]]:
    return sorted((sorted(row.items()) for row in rows), key=repr)


def test_a_log_of_one_chain_is_proved_after_the_upgrade_and_goes_on(old: Place) -> None:
    upgrade(old.url)
    with contextlib.closing(old.open()) as store:
        log = AuditLog(store, instance_id=store.instance_id)
        report = log.verify()
        assert (report.ok, report.records) == (True, 2)
        assert report.chains[0].hash.hex() == WRITTEN["tables"]["operations"][-1]["hash"]["hex"]
        with store.write() as state:
            state.keys.add(samples.new_key("later"))
        (first, _) = log.records()
        log.append(entry_of(first.model_copy(update={"operation_id": uuid.uuid4()})))
        assert (log.verify().ok, log.verify().records) == (True, 3)


def _named(rule: str) -> str:
    """A rule without its text, where its name is known."""
    return rule.partition(" CREATE TRIGGER")[0].strip()


def as_kind(kind: str) -> str:
    """Add an intent of this kind, on revisions that the code of today does not write to."""
    return copy("intents", operation_id=HEX, kind=f"'{kind}'")


def test_an_adoption_can_be_intended_after_the_upgrade_only(old: Place) -> None:
    intent = samples.new_intent(samples.new_key("adopted"), kind="adopt", from_version=None)
    with old.raw() as connection:
        assert "kind_is_known" in str(error_of(connection, (as_kind("adopt"),)))
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
    upgrade_to(old, "0002", monkeypatch)
    with old.raw() as connection:
        assert "kind_is_known" in str(error_of(connection, (as_kind("cancel"),)))
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
