"""The audit log against raw SQLite commits: one caller, many callers, and the proof of a log.

The identifiers of the operations are made beforehand: the log is measured, not the random numbers. The raw commits
write rows of the same size into a table with the same two indexes, with the same pragmas.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keyclave.audit.chain import GENESIS, chain_hash
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.audit.record import encode_entry
from keyclave.models import OperationStatus, OperationType
from keyclave.state.store import Store
from measure import interleave, ratio, row

_ROUNDS = 7
_KEY = "5f0c91a6-6f0b-4a2e-9a56-0d6f4dbf5c11"
_FLOOR = 50_000
_TABLE = """
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY, operation_id TEXT UNIQUE, occurred_at INTEGER, key_reference TEXT,
    record BLOB, hash BLOB
)
"""


def run() -> list[dict[str, Any]]:
    """Measure, and return the rows."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        store = Store.open(f"sqlite:///{directory / 'state.db'}", key_file=directory / "key")
        log = AuditLog(store, instance_id=store.instance_id)
        raw = _Raw(directory / "raw.db")
        rows = [*_one_caller(log, raw), *_many_callers(log, raw), _proof(log)]
        log.close()
        store.close()
        return rows


class _Raw:
    """SQLite without anything: the floor."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            _TABLE,
        ):
            self._connection.execute(statement)
        self._chain = GENESIS
        self._lock = threading.Lock()

    def commit(self, entries: list[AuditEntry]) -> None:
        """Write the records of the entries in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO records (operation_id, occurred_at, key_reference, record, hash) VALUES (?, ?, ?, ?, ?)",
            list(map(self._values, entries)),
        )
        self._connection.execute("COMMIT")

    def _values(self, entry: AuditEntry) -> tuple[Any, ...]:
        record = encode_entry(entry)
        self._chain = chain_hash(self._chain, record)
        return entry.operation_id.hex, entry.occurred_at, entry.key_reference, record, self._chain

    def commit_one_locked(self, entry: AuditEntry) -> None:
        """What several callers would do without group commit."""
        with self._lock:
            self.commit([entry])


def _one_caller(log: AuditLog, raw: _Raw) -> list[dict[str, Any]]:
    entries = _entries(2 * 15 * 200 + 2)
    samples = interleave(
        {"raw": lambda: raw.commit([next(entries)]), "audit": lambda: log.append(next(entries))}, number=200
    )
    value = ratio(samples, "audit", "raw")
    return [
        row("audit, 1 caller / raw commit", value, "x", "<= 1.25", met=value <= 1.25),
        row("audit, 1 caller", statistics.median(samples["audit"]) * 1e6, "us", "-", met=None),
        row("raw SQLite commit", statistics.median(samples["raw"]) * 1e6, "us", "-", met=None),
        _encoding(),
    ]


def _encoding() -> dict[str, Any]:
    entry = next(_entries(1))
    seconds = interleave({"encode": lambda: chain_hash(GENESIS, encode_entry(entry))}, number=2000)["encode"]
    return row("audit record, encode and chain", min(seconds) * 1e6, "us", "-", met=None)


def _many_callers(log: AuditLog, raw: _Raw) -> list[dict[str, Any]]:
    samples: dict[str, list[float]] = {"floor": [], "16": [], "64": [], "lock": []}
    for _ in range(_ROUNDS):
        samples["floor"].append(_batches(raw, 16, 500))
        samples["16"].append(_threads(16, 250, log.append))
        samples["64"].append(_threads(64, 64, log.append))
        samples["lock"].append(_threads(16, 50, raw.commit_one_locked))
    rate = {name: statistics.median(values) for name, values in samples.items()}
    share, gain = ratio(samples, "16", "floor"), ratio(samples, "16", "lock")
    return [
        row("raw SQLite, 1 thread, batches of 16", rate["floor"], "records/s", "-", met=None),
        row("audit, 16 threads", rate["16"], "records/s", "-", met=None),
        row(
            "audit, 16 threads / raw batches of 16",
            share,
            "x",
            ">= 0.30 (15,000 of 50,000 records/s)",
            met=share >= 15_000 / _FLOOR,
        ),
        row("audit, 16 threads / lock and commit", gain, "x", ">= 4", met=gain >= 4),
        row("audit, 64 threads", rate["64"], "records/s", "-", met=None),
    ]


def _proof(log: AuditLog) -> dict[str, Any]:
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        report = log.verify()
        rates.append(report.records / (time.perf_counter() - started))
        assert report.ok
    return row("audit verify", max(rates), "records/s", ">= 100,000", met=max(rates) >= 100_000)


def _batches(raw: _Raw, size: int, count: int) -> float:
    entries = _entries(size * count)
    batches = [[next(entries) for _ in range(size)] for _ in range(count)]
    started = time.perf_counter()
    for batch in batches:
        raw.commit(batch)
    return size * count / (time.perf_counter() - started)


def _threads(threads: int, count: int, append: Callable[[AuditEntry], object]) -> float:
    """Return how many entries a second several threads append."""
    start = threading.Barrier(threads + 1)

    def work(entries: list[AuditEntry]) -> None:
        start.wait()
        for entry in entries:
            append(entry)

    workers = [threading.Thread(target=work, args=(list(_entries(count)),)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    return threads * count / (time.perf_counter() - started)


def _entries(count: int) -> Iterator[AuditEntry]:
    return iter([_entry() for _ in range(count)])


def _entry() -> AuditEntry:
    return AuditEntry(
        operation_id=uuid.uuid4(),
        operation_type=OperationType.SIGN,
        key_reference=_KEY,
        key_version=1,
        occurred_at=time.time_ns() // 1000,
        principal="benchmark",
        status=OperationStatus.SUCCESS,
        duration_us=33,
        backend_id="software",
        backend_type="software",
    )
