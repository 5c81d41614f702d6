"""Audited signatures of several processes on one instance, against raw commits of one connection.

Each process signs with one thread, as the workers of a server do. The raw commits sign nothing: one connection
inserts a row of the size of a record and commits, with the settings that the state has.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import keyclave
import psycopg
from keyclave.state.upgrade import upgrade
from measure import row

from tests.services.catalog import program
from tests.services.postgresql import running

_PROCESSES = (1, 2, 4, 8)
_ROUNDS = 5
_SECONDS = 1.0
_GAIN = 2  # with one chain for all it was 1
_MESSAGE = bytes(32)
_RECORD = bytes(400)
_CONFIG = """
[environment]
type = "local"
[state]
directory = "{directory}"
url = "{url}"
[backends.software]
plugin = "software"
"""
_INSERTION = "INSERT INTO raw (record) VALUES ({place})"


def run() -> list[dict[str, Any]]:
    """Measure, and return the rows."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        url = f"sqlite:///{directory / 'sqlite' / 'state.db'}"
        with _sqlite(directory / "raw.db") as floor:
            rows += _compare("SQLite", url, directory / "sqlite", floor)
        if program("postgresql", "postgres"):
            with running() as server, _postgresql(server.url("postgres")) as floor:
                server.execute("CREATE DATABASE fleet")
                upgrade(server.url("fleet"))
                rows += _compare("PostgreSQL", server.url("fleet"), directory / "postgresql", floor)
    return rows


@contextlib.contextmanager
def _sqlite(path: Path) -> Iterator[Callable[[], object]]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE raw (record BLOB)"):
            connection.execute(statement)
        yield lambda: connection.execute(_INSERTION.format(place="?"), (_RECORD,))


@contextlib.contextmanager
def _postgresql(url: str) -> Iterator[Callable[[], object]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE raw (record bytea)")
        yield lambda: connection.execute(_INSERTION.format(place="%s"), (_RECORD,))


def _compare(kind: str, url: str, directory: Path, floor: Callable[[], object]) -> list[dict[str, Any]]:
    config = directory.with_suffix(".toml")
    config.write_text(_CONFIG.format(directory=directory, url=url))
    with keyclave.open(config) as clave:
        clave.keys.create("k", "ECDSA_P256")
    raw: list[float] = []
    signed: dict[int, list[float]] = {count: [] for count in _PROCESSES}
    with _workers(config, max(_PROCESSES)) as workers:
        for _ in range(_ROUNDS):
            raw.append(_rate(floor))
            for count in _PROCESSES:
                signed[count].append(_together(workers[:count]))
    with keyclave.open(config) as clave:
        assert clave.audit.verify().ok
    rows = [row(f"raw {kind}, insert and commit", statistics.median(raw), "rows/s", "-", met=None)]
    for count, rates in signed.items():
        name = f"{kind}, audited sign, {count} process" + ("es" if count > 1 else "")
        share = statistics.median(rate / base for rate, base in zip(rates, raw, strict=True))
        rows.append(row(name, statistics.median(rates), "signs/s", "-", met=None))
        rows.append(row(f"{name} / raw", share, "x", "-", met=None))
    gain = statistics.median(many / one for many, one in zip(signed[8], signed[1], strict=True))
    met = None if kind == "SQLite" else gain >= _GAIN
    rows.append(row(f"{kind}, 8 processes / 1", gain, "x", "-" if met is None else f">= {_GAIN}", met=met))
    return rows


@contextlib.contextmanager
def _workers(config: Path, count: int) -> Iterator[list[Connection]]:
    """Start processes, each with its instance open, that sign for a while whenever they are told to."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=_work, args=(config, theirs)) for _, theirs in pipes]
    for process in processes:
        process.start()
    ours = [pipe for pipe, _ in pipes]
    try:
        for pipe in ours:
            pipe.recv()
        yield ours
    finally:
        for pipe in ours:
            pipe.send("stop")
        for process in processes:
            process.join()


def _work(config: Path, pipe: Connection) -> None:
    with keyclave.open(config) as clave:
        pipe.send(_rate(lambda: clave.keys.sign("k", _MESSAGE), 0.1))
        while pipe.recv() == "sign":
            pipe.send(_rate(lambda: clave.keys.sign("k", _MESSAGE)))


def _together(pipes: list[Connection]) -> float:
    for pipe in pipes:
        pipe.send("sign")
    rates: list[float] = [pipe.recv() for pipe in pipes]
    return sum(rates)


def _rate(call: Callable[[], object], seconds: float = _SECONDS) -> float:
    """Return how often a second something can be done."""
    started, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < seconds:
        call()
        count += 1
    return count / passed
