"""The audit log, and signing with it, against raw SQLite commits: one caller, many callers, and the proof of a log.

The identifiers of the log's own operations are made beforehand: the log is measured, not the random numbers. The raw
commits sign nothing; they write rows of the same size into a table with the same two indexes, with the same pragmas.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keyclave
from keyclave.audit.chain import GENESIS, chain_hash
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.audit.record import encode_entry
from keyclave.models import OperationStatus, OperationType
from keyclave.state.store import Store
from measure import interleave, ratio, row

Append = Callable[[AuditEntry], object]

_ROUNDS = 7
_KEY = "5f0c91a6-6f0b-4a2e-9a56-0d6f4dbf5c11"
_FLOOR = 50_000
_SHARE = ">= 0.30 (15,000 of 50,000 records/s)"
_MESSAGE = bytes(32)
_CONFIG = """
[environment]
type = "local"
[state]
directory = "{directory}"
[backends.software]
plugin = "software"
"""
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
        config = directory / "keyclave.toml"
        config.write_text(_CONFIG.format(directory=directory / "state"))
        store = Store.open(f"sqlite:///{directory / 'log.db'}", key_file=directory / "key")
        log = AuditLog(store, instance_id=store.instance_id)
        raw = _Raw(directory / "raw.db")
        with keyclave.open(config) as clave:
            clave.keys.create("k", "ECDSA_P256")
            work: dict[str, Append] = {"audit": log.append, "audited sign": lambda _: clave.keys.sign("k", _MESSAGE)}
            rows = [*_one_caller(work, raw), _encoding(), *_many_callers(work, raw), _proof(log)]
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


def _one_caller(work: dict[str, Append], raw: _Raw) -> list[dict[str, Any]]:
    entries = _entries((1 + len(work)) * (15 * 200 + 1))
    floor = {"raw": lambda: raw.commit([next(entries)])}
    cases = {name: partial(_call, append, entries) for name, append in work.items()}
    samples = interleave({**floor, **cases}, number=200)
    rows = [row("raw SQLite commit", statistics.median(samples["raw"]) * 1e6, "us", "-", met=None)]
    for name in work:
        value = ratio(samples, name, "raw")
        rows.append(row(f"{name}, 1 caller / raw commit", value, "x", "<= 1.25", met=value <= 1.25))
        rows.append(row(f"{name}, 1 caller", statistics.median(samples[name]) * 1e6, "us", "-", met=None))
    return rows


def _call(append: Append, entries: Iterator[AuditEntry]) -> None:
    append(next(entries))


def _encoding() -> dict[str, Any]:
    entry = next(_entries(1))
    seconds = interleave({"encode": lambda: chain_hash(GENESIS, encode_entry(entry))}, number=2000)["encode"]
    return row("audit record, encode and chain", min(seconds) * 1e6, "us", "-", met=None)


def _many_callers(work: dict[str, Append], raw: _Raw) -> list[dict[str, Any]]:
    samples: dict[str, list[float]] = {"floor": [], "lock": [], **{f"{n}, {c}": [] for n in work for c in (16, 64)}}
    for _ in range(_ROUNDS):
        samples["floor"].append(_batches(raw, 16, 500))
        samples["lock"].append(_threads(16, 50, raw.commit_one_locked))
        for name, append in work.items():
            samples[f"{name}, 16"].append(_threads(16, 250, append))
            samples[f"{name}, 64"].append(_threads(64, 64, append))
    rate = {name: statistics.median(values) for name, values in samples.items()}
    rows = [
        row("raw SQLite, 1 thread, batches of 16", rate["floor"], "records/s", "-", met=None),
        row("raw SQLite, 16 threads, lock and commit", rate["lock"], "records/s", "-", met=None),
    ]
    for name in work:
        share, gain = ratio(samples, f"{name}, 16", "floor"), ratio(samples, f"{name}, 16", "lock")
        rows += [
            row(f"{name}, 16 threads", rate[f"{name}, 16"], "records/s", "-", met=None),
            row(f"{name}, 16 threads / raw batches of 16", share, "x", _SHARE, met=share >= 15_000 / _FLOOR),
            row(f"{name}, 16 threads / lock and commit", gain, "x", ">= 4", met=gain >= 4),
            row(f"{name}, 64 threads", rate[f"{name}, 64"], "records/s", "-", met=None),
        ]
    return rows


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


def _threads(threads: int, count: int, append: Append) -> float:
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
