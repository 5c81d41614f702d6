"""Every way to tamper with a log is named by the shipped checker, and the second checker agrees with it."""

from __future__ import annotations

import hashlib
import importlib.util
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from keyclave.audit.chain import chain_hash
from keyclave.audit.checker import MAX_FAULTS, ChainEnd, FaultKind
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.audit.protocols import Head
from keyclave.errors import IntegrityError
from keyclave.state.store import Store

SECOND_CHECKER = Path(__file__).with_name("second_checker.py")
RECORDS = 9
Make = Callable[..., AuditEntry]
Tamper = Callable[[sqlite3.Connection], object]


def second_checker(database: Path) -> list[int]:
    spec = importlib.util.spec_from_file_location("second_checker", SECOND_CHECKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    faults: list[int] = module.check(str(database))
    return faults


@pytest.fixture
def written(log: AuditLog, make_entry: Make) -> AuditLog:
    for _ in range(RECORDS):
        log.append(make_entry())
    return log


@pytest.fixture
def tamper(database: Path) -> Callable[[Tamper], None]:
    def apply(change: Tamper) -> None:
        with closing(sqlite3.connect(database)) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f'DROP TRIGGER "{name}"')
            change(connection)
            connection.commit()

    return apply


def flip(connection: sqlite3.Connection, sequence: int, column: str) -> None:
    """Flip one bit in the middle of a value."""
    query = f"SELECT {column} FROM operations WHERE sequence = ?"
    value = bytearray(connection.execute(query, (sequence,)).fetchone()[0])
    value[len(value) // 2] ^= 1
    connection.execute(f"UPDATE operations SET {column} = ? WHERE sequence = ?", (bytes(value), sequence))


def rewrite(connection: sqlite3.Connection, sequence: int, old: bytes, new: bytes) -> None:
    """Change a record, and make every hash from there on fit."""
    rows = connection.execute(
        "SELECT sequence, record FROM operations WHERE sequence >= ? ORDER BY sequence", (sequence,)
    ).fetchall()
    query = "SELECT hash FROM operations WHERE sequence = ?"
    chain = connection.execute(query, (sequence - 1,)).fetchone()[0]
    for number, stored in rows:
        record = stored.replace(old, new) if number == sequence else stored
        chain = hashlib.sha256(b"\1" + chain + record).digest()
        connection.execute("UPDATE operations SET record = ?, hash = ? WHERE sequence = ?", (record, chain, number))


def swap(connection: sqlite3.Connection, one: int, other: int) -> None:
    for source, target in ((one, -1), (other, one), (-1, other)):
        connection.execute("UPDATE operations SET sequence = ? WHERE sequence = ?", (target, source))


def duplicate_last(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO operations (sequence, operation_id, occurred_at, key_reference, record, hash)"
        " SELECT sequence + 1, lower(hex(randomblob(16))), occurred_at, key_reference, record, hash"
        " FROM operations ORDER BY sequence DESC LIMIT 1"
    )


def run(sql: str) -> Tamper:
    return lambda connection: connection.execute(sql)


TAMPERED: dict[str, tuple[Tamper, list[tuple[int, FaultKind]]]] = {
    "a byte of a record": (
        lambda connection: flip(connection, 4, "record"),
        [(4, FaultKind.CHAIN), (4, FaultKind.RECORD)],
    ),
    "a name in a record": (
        run("UPDATE operations SET record = CAST(replace(record, 'tester', 'nobody') AS BLOB) WHERE sequence = 4"),
        [(4, FaultKind.CHAIN)],
    ),
    "a byte of the first hash": (
        lambda connection: flip(connection, 1, "hash"),
        [(1, FaultKind.CHAIN), (2, FaultKind.CHAIN)],
    ),
    "a byte of the last hash": (
        lambda connection: flip(connection, RECORDS, "hash"),
        [(RECORDS, FaultKind.CHAIN), (RECORDS, FaultKind.TAIL)],
    ),
    "the first record dropped": (run("DELETE FROM operations WHERE sequence = 1"), [(1, FaultKind.MISSING)]),
    "a record dropped": (run("DELETE FROM operations WHERE sequence = 5"), [(5, FaultKind.MISSING)]),
    "a record dropped and the rest moved up": (
        lambda connection: [
            connection.execute("DELETE FROM operations WHERE sequence = 5"),
            *(
                connection.execute("UPDATE operations SET sequence = ? WHERE sequence = ?", (n - 1, n))
                for n in range(6, RECORDS + 1)
            ),
        ],
        [(5, FaultKind.CHAIN), (RECORDS, FaultKind.TAIL)],
    ),
    "two records swapped": (
        lambda connection: swap(connection, 3, 4),
        [(3, FaultKind.CHAIN), (4, FaultKind.CHAIN), (5, FaultKind.CHAIN)],
    ),
    "the tail cut off": (run("DELETE FROM operations WHERE sequence > 6"), [(7, FaultKind.TAIL)]),
    "everything cut off": (run("DELETE FROM operations"), [(1, FaultKind.TAIL)]),
    "the last record doubled": (
        duplicate_last,
        [(RECORDS + 1, FaultKind.CHAIN), (RECORDS + 1, FaultKind.COLUMN), (RECORDS + 1, FaultKind.TAIL)],
    ),
    "a column that is searched by": (
        run("UPDATE operations SET key_reference = 'name:other' WHERE sequence = 2"),
        [(2, FaultKind.COLUMN)],
    ),
    "the time column": (
        run("UPDATE operations SET occurred_at = occurred_at - 1 WHERE sequence = 8"),
        [(8, FaultKind.COLUMN)],
    ),
    "a column so that it cannot be read": (
        run("UPDATE operations SET operation_id = substr(operation_id, 2) || 'x' WHERE sequence = 5"),
        [(5, FaultKind.COLUMN)],
    ),
    "a record rewritten with all later hashes": (
        lambda connection: rewrite(connection, 4, b"tester", b"nobody"),
        [(RECORDS, FaultKind.TAIL)],
    ),
    "a record written in another form with all later hashes": (
        lambda connection: rewrite(connection, 4, b'":', b'": '),
        [(4, FaultKind.RECORD), (RECORDS, FaultKind.TAIL)],
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_tampered_with_is_named_and_both_checkers_agree(
    written: AuditLog, database: Path, tamper: Callable[[Tamper], None], name: str
) -> None:
    change, faults = TAMPERED[name]
    tamper(change)
    report = written.verify()
    assert not report.ok
    assert [(fault.sequence, fault.kind) for fault in report.faults] == faults
    assert report.fault_count == len(faults)
    assert second_checker(database) == sorted({sequence for sequence, _ in faults})


@pytest.mark.parametrize(
    ("dropped", "said"), [("= 5", "record 5 is missing"), ("BETWEEN 5 AND 7", "records 5 to 7 are missing")]
)
def test_missing_records_are_counted(
    written: AuditLog, tamper: Callable[[Tamper], None], dropped: str, said: str
) -> None:
    tamper(run(f"DELETE FROM operations WHERE sequence {dropped}"))
    assert [fault.detail for fault in written.verify().faults] == [said]


def test_a_good_log_passes_both_checkers(written: AuditLog, database: Path) -> None:
    report = written.verify()
    assert (report.ok, report.records, report.chains[0].sequence) == (True, RECORDS, RECORDS)
    assert second_checker(database) == []
    program = subprocess.run([sys.executable, SECOND_CHECKER, database], check=True, capture_output=True, timeout=60)
    assert program.stdout == b""


def test_an_empty_log_passes_both_checkers(log: AuditLog, database: Path) -> None:
    report = log.verify()
    assert (report.ok, report.records, report.chains) == (True, 0, (ChainEnd(chain=1, sequence=0, hash=bytes(32)),))
    assert second_checker(database) == []


def test_a_tail_cut_off_together_with_its_head_is_seen_by_the_mac_of_the_head(
    written: AuditLog, database: Path, tamper: Callable[[Tamper], None]
) -> None:
    def cut(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM operations WHERE sequence > 6")
        connection.execute(
            "UPDATE audit_head SET sequence = 6, hash = (SELECT hash FROM operations WHERE sequence = 6)"
        )

    tamper(cut)
    assert second_checker(database) == []
    report = written.verify()
    assert [(fault.sequence, fault.kind) for fault in report.faults] == [
        (6, FaultKind.HEAD),
        (0, FaultKind.KEYS),
    ]


def test_a_report_lists_the_first_faults_and_counts_all(
    log: AuditLog, make_entry: Make, tamper: Callable[[Tamper], None]
) -> None:
    for _ in range(MAX_FAULTS + 20):
        log.append(make_entry())
    tamper(run("UPDATE operations SET key_reference = 'name:other'"))
    report = log.verify()
    assert len(report.faults) == MAX_FAULTS
    assert report.fault_count == report.records == MAX_FAULTS + 20


def test_a_log_of_rows_that_cannot_be_read_is_given_up(
    log: AuditLog, make_entry: Make, tamper: Callable[[Tamper], None]
) -> None:
    for _ in range(MAX_FAULTS + 20):
        log.append(make_entry())
    tamper(run("UPDATE operations SET operation_id = substr(operation_id, 2) || 'x'"))
    report = log.verify()
    assert not report.ok
    assert report.fault_count == MAX_FAULTS
    assert {fault.kind for fault in report.faults} == {FaultKind.COLUMN}


def test_a_record_that_was_tampered_with_is_not_read_back(
    written: AuditLog, tamper: Callable[[Tamper], None]
) -> None:
    tamper(lambda connection: flip(connection, 4, "record"))
    with pytest.raises(IntegrityError, match="audit record 4"):
        list(written.records())


def test_the_log_is_proved_while_it_grows(log: AuditLog, make_entry: Make) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            log.append(make_entry())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(log.verify().ok for _ in range(20))
    finally:
        stop.set()
        writer.join()


def test_the_chain_can_be_followed_by_hand(written: AuditLog, store: Store) -> None:
    with store.read() as transaction:
        rows, head = transaction.audit.rows(1, 0, RECORDS), transaction.audit.head()
    end = Head(0, bytes(32))
    for row in rows:
        end = Head(end.sequence + 1, chain_hash(end.hash, row.record))
    assert (end.sequence, end.hash) == (head.sequence, head.hash)
