"""A second checker of the audit log: sqlite3, hashlib and json only, and not a line of the shipped one.

Usage: second_checker.py DATABASE

Prints a line for each record that is wrong, and exits with 1 if there is one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from contextlib import closing

MEMBERS = {
    "backend_id",
    "backend_type",
    "duration_us",
    "error_message",
    "key_reference",
    "key_version",
    "occurred_at",
    "operation_id",
    "operation_type",
    "principal",
    "provider_reference",
    "status",
    "v",
}


def check(database: str) -> list[int]:
    """Return the numbers of the records that are wrong, ascending."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        wrong = set()
        place, chain = 0, b"\0" * 32
        for row in connection.execute(
            "SELECT sequence, operation_id, occurred_at, key_reference, record, hash"
            " FROM operations ORDER BY sequence"
        ):
            sequence, operation_id, occurred_at, key_reference, record, stored = row
            if sequence != place + 1:
                wrong.add(place + 1)
            elif hashlib.sha256(b"\1" + chain + record).digest() != stored:
                wrong.add(sequence)
            if not is_record(record) or read(record) != (operation_id, occurred_at, key_reference):
                wrong.add(sequence)
            place, chain = sequence, stored
        head = connection.execute("SELECT sequence, hash FROM audit_head").fetchall()
        if head and head != [(place, chain)]:
            wrong.add(min(place, head[0][0]) + (head[0][0] != place))
        return sorted(wrong)


def is_record(record: bytes) -> bool:
    try:
        document = json.loads(record)
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return False
    return text.encode() == record and set(document) == MEMBERS


def read(record: bytes) -> tuple[str, int, str]:
    document = json.loads(record)
    return document["operation_id"].replace("-", ""), document["occurred_at"], document["key_reference"]


if __name__ == "__main__":
    faults = check(sys.argv[1])
    for number in faults:
        print(f"record {number} is wrong")  # noqa: T201  it is a program
    sys.exit(bool(faults))
