"""A state directory, read with sqlite3 alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.invariants.audit import Record, read_records, wrong_records

__all__ = ["Row", "State", "read_state"]

Row = dict[str, Any]


@dataclass(frozen=True)
class State:
    """What is stored.

    Attributes:
        key: the instance key.
        tables: the rows of every table whose rows have a MAC, by its name.
        records: the audit log.
        wrong: where the audit log is not what was written.
        leftovers: the files that a finished write does not leave behind.
    """

    key: bytes
    tables: dict[str, list[Row]]
    records: tuple[Record, ...]
    wrong: tuple[str, ...]
    leftovers: tuple[str, ...]

    @property
    def instance(self) -> Row:
        """The row that there is once."""
        return self.tables["instance"][0]

    @property
    def keys(self) -> dict[str, Row]:
        """The keys, by their ids."""
        return {row["key_id"]: row for row in self.tables["keys"]}

    @property
    def versions(self) -> dict[tuple[str, int], Row]:
        """The versions, by key and number, in that order."""
        return {(row["key_id"], row["version"]): row for row in sorted(self.tables["key_versions"], key=_place)}

    @property
    def intents(self) -> list[Row]:
        """The changes, the oldest first."""
        return sorted(self.tables["intents"], key=lambda row: (row["created_at"], row["operation_id"]))

    @property
    def migrations(self) -> list[Row]:
        """The migrations, each with its details."""
        return [{**row, **json.loads(row["details"])} for row in self.tables["migrations"]]

    def of_key(self, key_id: str) -> list[Row]:
        """Return the versions of a key, the oldest first."""
        return [row for (owner, _), row in self.versions.items() if owner == key_id]


def read_state(directory: Path) -> State:
    """Read the state in a directory; nothing else may have it open."""
    database = directory / "keyclave.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: _rows(connection.execute(f"SELECT * FROM {name}")) for name in names}
        records = read_records(connection)
    return State(
        key=(directory / "instance.key").read_bytes(),
        tables={name: rows for name, rows in tables.items() if rows and "mac" in rows[0]} | _empty(tables),
        records=records,
        wrong=tuple(wrong_records(database)),
        leftovers=tuple(
            str(path.relative_to(directory)) for path in sorted(directory.rglob("*")) if path.suffix == ".tmp"
        ),
    )


def _rows(cursor: Iterable[sqlite3.Row]) -> list[Row]:
    return [dict(row) for row in cursor]


def _empty(tables: dict[str, list[Row]]) -> dict[str, list[Row]]:
    return {name: rows for name, rows in tables.items() if not rows}


def _place(row: Row) -> tuple[str, int]:
    return row["key_id"], row["version"]
