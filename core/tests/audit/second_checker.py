"""A second checker of the audit log: sqlite3, hashlib and json only, and not a line of the shipped one.

Usage: second_checker.py DATABASE

Prints a line for each record that is wrong, and exits with 1 if there is one. A connection to a database of another
kind can be given to ``check_chains``.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from contextlib import closing
from typing import Any

HEADS = "SELECT chain, sequence, hash FROM audit_head"
RECORDS = (
    "SELECT chain, sequence, operation_id, occurred_at, key_reference, record, hash"
    " FROM operations ORDER BY chain, sequence"
)
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
    """Return the numbers of the records of the only chain that are wrong, ascending."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [sequence for _, sequence in check_chains(connection)]


def check_chains(connection: Any) -> list[tuple[int, int]]:
    """Return the chains and numbers of the records that are wrong, ascending; 0 is the number where a chain is."""
    heads = {chain: (sequence, last) for chain, sequence, last in connection.execute(HEADS).fetchall()}
    ((sealed,),) = connection.execute("SELECT chains FROM instance").fetchall()
    ends = dict(enumerate(map(int, (sealed or "0").split()), start=1))
    wrong = {(chain, 0) for chain in heads.keys() ^ ends.keys()}
    wrong |= {(chain, 0) for chain, end in ends.items() if heads.get(chain, (end,))[0] < end}
    places = dict.fromkeys(heads, (0, b"\0" * 32))
    for row in connection.execute(RECORDS):
        number, sequence, operation_id, occurred_at, key_reference, record, stored = row
        if number not in places:
            wrong.add((number, 0))
            continue
        place, chain = places[number]
        if sequence != place + 1:
            wrong.add((number, place + 1))
        elif hashlib.sha256(b"\1" + chain + record).digest() != stored:
            wrong.add((number, sequence))
        if not is_record(record) or read(record) != (operation_id, occurred_at, key_reference):
            wrong.add((number, sequence))
        places[number] = sequence, stored
    for chain, head in heads.items():
        end = places[chain]
        if head != end:
            wrong.add((chain, min(end[0], head[0]) + (head[0] != end[0])))
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
