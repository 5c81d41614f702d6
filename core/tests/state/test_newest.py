"""Keys and versions that are missing, or were put back to earlier bytes with their earlier MAC, are noticed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from keyclave.errors import IntegrityError
from keyclave.models import KeyStatus
from keyclave.state.migrations.initial.rules import GUARDS
from keyclave.state.records import AuditRow
from keyclave.state.store import Store

from core.tests.databases import Place
from core.tests.state.samples import new_key, new_version

KEY, OTHER = new_key("k"), new_key("other")
NOTICED = "is missing, or was put back"


def write_history(place: Place) -> Rows:
    """Two keys, whose first versions are revoked at the end; return all rows as they were before that."""
    with contextlib.closing(place.open()) as store:
        with store.write() as state:
            for key in (KEY, OTHER):
                state.keys.add(key)
                state.keys.add_version(new_version(key))
                state.keys.add_version(new_version(key, 2, status=KeyStatus.PENDING))
        with place.raw() as connection:
            before = Rows(connection)
        with store.write() as state:
            for key in (KEY, OTHER):
                state.keys.update_version(key.key_id, 1, status=KeyStatus.REVOKED)
    return before


class Rows:
    """What is in some tables, and how to put it back."""

    def __init__(self, connection: Any, tables: tuple[str, ...] = ("keys", "key_versions", "instance")) -> None:
        self.tables = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}

    def put_back(self, connection: Any, table: str, *, where: str = "1 = 1", wanted: Callable[[Any], bool]) -> None:
        connection.execute(f"DELETE FROM {table} WHERE {where}")
        for row in filter(wanted, self.tables[table]):
            values = ", ".join(_literal(value) for value in row)
            connection.execute(f"INSERT INTO {table} VALUES ({values})")


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"decode('{value.hex()}', 'hex')"
    return str(value) if isinstance(value, int) else "'" + str(value) + "'"


@contextlib.contextmanager
def disarmed(place: Place) -> Any:
    """A raw connection on which no trigger and no foreign key refuses anything."""
    with place.raw() as connection:
        if place.kind == "sqlite":
            connection.create_function("decode", 2, lambda digits, _: bytes.fromhex(digits))
            for guard in GUARDS:
                connection.execute(f"DROP TRIGGER IF EXISTS {guard.table}_{guard.name}")
        else:
            connection.execute("SET session_replication_role = replica")
        yield connection


def first_of(key: Any) -> Callable[[Any], bool]:
    return lambda row: row[0] == key.key_id.hex and row[1] == 1


def unrevoke(connection: Any, before: Rows) -> None:
    where = f"key_id = '{KEY.key_id.hex}' AND version = 1"
    before.put_back(connection, "key_versions", where=where, wanted=first_of(KEY))


def unrevoke_two(connection: Any, before: Rows) -> None:
    before.put_back(
        connection, "key_versions", where="version = 1", wanted=lambda row: first_of(KEY)(row) or first_of(OTHER)(row)
    )


def remove_newest_version(connection: Any, _: Rows) -> None:
    connection.execute(f"DELETE FROM key_versions WHERE key_id = '{KEY.key_id.hex}' AND version = 2")


def remove_key(connection: Any, _: Rows) -> None:
    for table in ("key_versions", "keys"):
        connection.execute(f"DELETE FROM {table} WHERE key_id = '{KEY.key_id.hex}'")


EDITS = [unrevoke, unrevoke_two, remove_newest_version, remove_key]


def prove(store: Store) -> None:
    with store.read() as state:
        state.keys.prove()


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_put_back_or_removed_is_noticed_at_the_opening(place: Place, edit: Callable[..., None]) -> None:
    before = write_history(place)
    place.open().close()
    with disarmed(place) as connection:
        edit(connection, before)
    with pytest.raises(IntegrityError, match=NOTICED) as caught:
        place.open()
    assert "backup" in str(caught.value.next_step)


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_put_back_or_removed_is_noticed_by_the_proof(place: Place, edit: Callable[..., None]) -> None:
    before = write_history(place)
    with contextlib.closing(place.open()) as store:
        prove(store)
        with disarmed(place) as connection:
            edit(connection, before)
        with pytest.raises(IntegrityError, match=NOTICED):
            prove(store)


@pytest.mark.parametrize("edit", EDITS)
def test_a_later_write_does_not_hide_it(place: Place, edit: Callable[..., None]) -> None:
    before = write_history(place)
    with contextlib.closing(place.open()) as store:
        with disarmed(place) as connection:
            edit(connection, before)
        with store.write() as state:
            state.keys.add(new_key("later"))
            state.keys.update_version(OTHER.key_id, 2, status=KeyStatus.REVOKED)
    with pytest.raises(IntegrityError, match=NOTICED):
        place.open()


def test_keys_older_than_the_audit_log_are_noticed(place: Place) -> None:
    """All that is about keys is put back together, and the log goes on."""
    before = write_history(place)
    with contextlib.closing(place.open()) as store, store.write() as state:
        row = AuditRow(
            sequence=1, operation_id=uuid4(), occurred_at=1, key_reference="k", record=b"{}", hash=bytes(32)
        )
        state.audit.append([row], row)
    with disarmed(place) as connection:
        for table in ("key_versions", "keys", "instance"):
            before.put_back(connection, table, wanted=lambda _: True)
    with pytest.raises(IntegrityError, match="before the audit log's last record"):
        place.open()


def test_a_row_that_is_there_twice_is_noticed_by_the_proof(place: Place) -> None:
    """Without its primary key, a table could hold a row twice to make up for the epoch of another."""
    write_history(place)
    with contextlib.closing(place.open()) as store:
        with disarmed(place) as connection:
            connection.execute("CREATE TABLE bare AS SELECT * FROM key_versions")
            connection.execute("INSERT INTO bare SELECT * FROM key_versions WHERE version = 1")
            connection.execute("DROP TABLE key_versions")
            connection.execute("ALTER TABLE bare RENAME TO key_versions")
        with pytest.raises(IntegrityError, match="is there twice"):
            prove(store)
