"""The audit log as the invariants need it. How it is stored is known here and in the second checker only."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

from core.tests.audit.second_checker import check

__all__ = ["Record", "read_records", "wrong_records"]


class Record(NamedTuple):
    """One record.

    Attributes:
        place: where it is in the log: the same in every later state of the log.
        digest: its hash, which covers all before it.
        operation_id: 32 hexadecimal digits.
        operation: what was done.
        key_reference: the key's id as 32 hexadecimal digits, or what was asked for.
        version: of the key.
        succeeded: whether it did.
        backend_id: where.
    """

    place: int
    digest: bytes
    operation_id: str
    operation: str
    key_reference: str
    version: int | None
    succeeded: bool
    backend_id: str | None


def read_records(connection: sqlite3.Connection) -> tuple[Record, ...]:
    """Return the records, each after those that were committed before it: in SQLite there is one chain of them."""
    rows = connection.execute("SELECT sequence, hash, record FROM operations ORDER BY sequence")
    return tuple(_record(place, digest, json.loads(text)) for place, digest, text in rows)


def wrong_records(database: Path) -> list[str]:
    """Return where the log is not what was written, by the second checker."""
    return [f"record {number}" for number in check(str(database))]


def _record(place: int, digest: bytes, document: dict[str, str | int | None]) -> Record:
    version, backend = document["key_version"], document["backend_id"]
    return Record(
        place,
        digest,
        str(document["operation_id"]).replace("-", ""),
        str(document["operation_type"]),
        str(document["key_reference"]).replace("-", ""),
        version if isinstance(version, int) else None,
        document["status"] == "SUCCESS",
        backend if isinstance(backend, str) else None,
    )
