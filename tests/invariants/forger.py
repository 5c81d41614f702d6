"""Change a state against every rule, as somebody could who has the instance key; for the tests of the checker."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.invariants.sealing import mac_of

__all__ = ["Forger", "forging"]


class Forger:
    """A state without its triggers and further indexes.

    Attributes:
        connection: for changes of any row.
    """

    def __init__(self, connection: sqlite3.Connection, key: bytes) -> None:
        self.connection = connection
        self._key = key
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL"
        ).fetchall():
            connection.execute(f"DROP {kind} {name}")

    def seal(self) -> None:
        """Give every row the MAC, and the instance the sum of epochs, that make them look genuine."""
        epochs = [
            epoch
            for table in ("keys", "key_versions")
            for (epoch,) in self.connection.execute(f"SELECT epoch FROM {table}")
        ]
        self.connection.execute("UPDATE instance SET epoch_sum = ?", (sum(epochs),))
        for (table,) in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            self._seal_rows(table)

    def _seal_rows(self, table: str) -> None:
        self.connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in self.connection.execute(f"SELECT rowid AS place, * FROM {table}")]
        self.connection.row_factory = None
        for row in rows:
            place = row.pop("place")
            if "mac" in row:
                mac = mac_of(self._key, table, row)
                self.connection.execute(f"UPDATE {table} SET mac = ? WHERE rowid = ?", (mac, place))

    def records(self) -> list[dict[str, Any]]:
        """Return the documents of the audit log."""
        return [json.loads(text) for (text,) in self.connection.execute("SELECT record FROM operations")]

    def write_log(self, documents: list[dict[str, Any]]) -> None:
        """Let the audit log be these documents, numbered and chained anew."""
        self.connection.execute("DELETE FROM operations")
        chain = bytes(32)
        for place, document in enumerate(documents, 1):
            text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            chain = hashlib.sha256(b"\1" + chain + text).digest()
            self.connection.execute(
                "INSERT INTO operations (chain, sequence, operation_id, occurred_at, key_reference, record, hash)"
                " VALUES (1, ?, ?, ?, ?, ?, ?)",
                (
                    place,
                    document["operation_id"].replace("-", ""),
                    document["occurred_at"],
                    document["key_reference"],
                    text,
                    chain,
                ),
            )
        self.connection.execute("UPDATE audit_head SET sequence = ?, hash = ?", (len(documents), chain))
        self.connection.execute("UPDATE instance SET chains = ?", (str(len(documents)),))


@contextmanager
def forging(directory: Path, *, sealed: bool = True) -> Iterator[Forger]:
    """Change a state, and let it look genuine in the end, or not."""
    with closing(sqlite3.connect(directory / "keyclave.db")) as connection:
        forger = Forger(connection, (directory / "instance.key").read_bytes())
        yield forger
        if sealed:
            forger.seal()
        connection.commit()
