"""What somebody changed behind Keyclave's back is noticed, and not used."""

from __future__ import annotations

import contextlib
import hmac
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from keyclave.errors import IntegrityError, KeyclaveError
from keyclave.models import EnvironmentType
from keyclave.state.integrity import RowMac
from keyclave.state.migrations.initial.tables import METADATA
from keyclave.state.schema import METADATA as NEWEST
from keyclave.state.store import Transaction
from pydantic import SecretBytes

from core.tests.databases import Place
from core.tests.state.raw_sql import change
from core.tests.state.samples import populate_all

READS: dict[str, Callable[[Transaction], object]] = {
    "instance": lambda state: state.epoch,
    "environments": lambda state: state.environments.get(EnvironmentType.LOCAL),
    "backends": lambda state: state.backends.all(),
    "keys": lambda state: state.keys.page(None, 10),
    "key_versions": lambda state: state.keys.versions(state.keys.page(None, 1)[0].key_id),
    "intents": lambda state: state.intents.open(),
    "audit_head": lambda state: state.audit.head(),
    "migrations": lambda state: state.migrations.all(),
}
LOOKED_UP = {
    ("instance", "singleton"),
    ("audit_head", "chain"),
    ("environments", "environment_type"),
    ("key_versions", "key_id"),
    ("intents", "outcome"),
}
"""Columns by which a row is found: a changed one hides the row instead. Those of the two singletons are constants."""
CHECKS = [
    (table.name, constraint.name)
    for table in METADATA.tables.values()
    for constraint in table.constraints
    if isinstance(constraint, sa.CheckConstraint)
]


def disarm(place: Place, connection: Any) -> None:
    """Take away whatever would refuse the edit, as somebody with the file in hands can."""
    if place.kind != "sqlite":
        connection.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
        for table, check in CHECKS:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {check}")
        return
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")


def all_columns() -> list[tuple[str, str]]:
    pairs = [(table, column.name) for table in READS for column in NEWEST.tables[table].columns]
    return [pair for pair in pairs if pair not in LOOKED_UP]


def edit(place: Place, table: str, column: str) -> None:
    kind = NEWEST.tables[table].columns[column].type
    if isinstance(kind, sa.LargeBinary):
        value = "CAST('another' AS BLOB)" if place.kind == "sqlite" else "'another'::bytea"
    elif isinstance(kind, sa.Text):
        value = f"COALESCE({column} || 'x', 'x')"
    else:
        value = f"COALESCE({column} + 10, 1)"
    with place.raw() as connection:
        disarm(place, connection)
        connection.execute(f"UPDATE {table} SET {column} = {value}")


def assert_noticed(place: Place, table: str) -> None:
    with pytest.raises(IntegrityError), contextlib.closing(place.open()) as store, store.read() as state:
        READS[table](state)


@pytest.mark.parametrize(("table", "column"), all_columns())
def test_a_changed_column_is_noticed(populated_sqlite: Place, table: str, column: str) -> None:
    edit(populated_sqlite, table, column)
    assert_noticed(populated_sqlite, table)


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize(("table", "column"), {t: c for t, c in all_columns() if c != "mac"}.items())
def test_a_changed_row_is_noticed_on_a_server_too(postgresql_place: Place, table: str, column: str) -> None:
    """One column of each table: the MAC is made in Python, and is the same for every database."""
    populate_all(postgresql_place)
    edit(postgresql_place, table, column)
    assert_noticed(postgresql_place, table)


@pytest.mark.parametrize("table", READS)
def test_unchanged_rows_are_read(populated: Place, table: str) -> None:
    with contextlib.closing(populated.open()) as store, store.read() as state:
        READS[table](state)


def test_the_mac_is_hmac_sha256_over_the_table_and_the_columns_that_are_set() -> None:
    key = bytes(range(32))
    message = b"\x92" + b"\xa4keys" + b"\x82" + b"\xa1a" + b"\x01" + b"\xa1c" + b"\xa1x"  # MessagePack, by hand
    tag = RowMac(SecretBytes(key)).tag("keys", {"a": 1, "b": None, "c": "x"})
    assert tag == hmac.digest(key, message, "sha256")


def test_an_edit_that_obeys_every_rule_is_noticed(populated: Place) -> None:
    """The rules let the level of a backend change; the MAC does not."""
    with contextlib.closing(populated.open()) as store:
        with populated.raw() as connection:
            connection.execute("UPDATE backends SET security_level = 'HSM'")
        with pytest.raises(IntegrityError, match="backends"), store.read() as state:
            state.backends.all()


def test_an_edit_under_an_open_store_is_noticed(populated: Place) -> None:
    with contextlib.closing(populated.open()) as store:
        with store.write() as state:
            assert state.epoch
        with populated.raw() as connection:
            connection.execute(change("keys", "")[0])
        for begin in (store.read, store.write):
            with pytest.raises(IntegrityError, match="instance"), begin() as state:
                assert state.epoch


def test_values_of_two_rows_cannot_be_exchanged(populated: Place) -> None:
    with populated.raw() as connection:
        disarm(populated, connection)
        for column in ("provider_uri", "mac"):
            connection.execute(
                f"UPDATE key_versions SET {column} = (SELECT {column} FROM key_versions AS other"
                " WHERE other.version = 2) WHERE version = 1"
            )
    with pytest.raises(IntegrityError), contextlib.closing(populated.open()) as store, store.read() as state:
        READS["key_versions"](state)


@pytest.mark.parametrize("version", [1])
def test_a_version_that_was_removed_is_missed(populated: Place, version: int) -> None:
    with populated.raw() as connection:
        disarm(populated, connection)
        connection.execute(f"DELETE FROM key_versions WHERE version = {version}")
    with (
        pytest.raises(IntegrityError, match="missing"),
        contextlib.closing(populated.open()) as store,
        store.read() as state,
    ):
        READS["key_versions"](state)


@pytest.mark.parametrize("table", ["instance", "audit_head"])
def test_a_row_on_which_the_others_rest_is_missed(populated: Place, table: str) -> None:
    with contextlib.closing(populated.open()) as store:
        with populated.raw() as connection:
            disarm(populated, connection)
            connection.execute(f"DELETE FROM {table}")
        with pytest.raises(IntegrityError, match="missing"), store.read() as state:
            assert state.epoch


def test_an_intent_that_was_removed_is_missed(populated: Place) -> None:
    with contextlib.closing(populated.open()) as store:
        with store.read() as state:
            (intent,) = state.intents.open()
        with populated.raw() as connection:
            disarm(populated, connection)
            connection.execute("DELETE FROM intents")
        with pytest.raises(IntegrityError, match="missing"), store.write() as state:
            state.intents.close(intent.operation_id, "done")


def everything(place: Place) -> list[object]:
    with contextlib.closing(place.open()) as store, store.read() as state:
        return [read(state) for read in READS.values()]


def test_an_edit_of_the_file_is_noticed(populated_sqlite: Place) -> None:
    path = Path(populated_sqlite.url.removeprefix("sqlite:///"))
    content = path.read_bytes()
    assert content.count(b"software:") >= 2
    path.write_bytes(content.replace(b"software:", b"softwarf:"))
    with pytest.raises(IntegrityError, match="key_versions"):
        everything(populated_sqlite)


def test_a_flipped_bit_never_becomes_other_data(populated_sqlite: Place, tmp_path: Path) -> None:
    """SQLite notices few of them. A row may be hidden by one, or all of it refused, but none is read as another."""
    path = Path(populated_sqlite.url.removeprefix("sqlite:///"))
    original = everything(populated_sqlite)
    pristine, outcomes = path.read_bytes(), []
    generator = random.Random(1)
    for _ in range(120):
        content = bytearray(pristine)
        # Whole pages are unused: aim at bytes that are not zero.
        position = generator.choice([i for i in range(0, len(content), 7) if content[i]])
        content[position] ^= 1 << generator.randrange(8)
        for leftover in path.parent.glob(f"{path.name}-*"):
            leftover.unlink()
        path.write_bytes(content)
        try:
            found = everything(populated_sqlite)
        except KeyclaveError as error:
            outcomes.append(type(error).__name__)
            continue
        outcomes.append("read")
        assert all(_part_of(f, o) for f, o in zip(found, original, strict=True)), f"bit of byte {position}"
    assert outcomes.count("IntegrityError") >= 20, outcomes
    assert outcomes.count("read") >= 20, outcomes
    shutil.rmtree(tmp_path / "private")


def _part_of(found: object, original: object) -> bool:
    if isinstance(found, tuple) and isinstance(original, tuple):
        return all(item in original for item in found)
    return found == original or found is None
