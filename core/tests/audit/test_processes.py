"""Processes that die at any moment, and processes that share a database."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.state.store import Store

THREADS = 16


@pytest.mark.parametrize("wanted", [50, 150, 300])
def test_a_process_killed_in_the_middle_of_its_work_loses_nothing_it_acknowledged(appender: Any, wanted: int) -> None:
    process = appender.start(THREADS, 100_000)
    try:
        while len(appender.noted("acked")) < wanted:
            assert process.poll() is None
    finally:
        process.kill()
        process.wait(60)
    result = appender.examine()
    assert len(result.acked) >= wanted
    assert not result.failed
    assert len(result.stored - result.acked) <= THREADS


def test_two_processes_append_one_intact_chain(appender: Any) -> None:
    processes = [appender.start(4, 50) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    result = appender.examine()
    assert result.stored == result.acked
    assert len(result.acked) == 400
    assert not result.failed
    with closing(sqlite3.connect(appender.directory / "state.db")) as connection:
        writers = connection.execute("SELECT DISTINCT key_reference FROM operations").fetchall()
    assert {f"name:{process.pid}" for process in processes} <= {writer for (writer,) in writers}


def test_two_logs_on_one_database_take_turns(
    store: Store, open_store: Callable[[Path], Store], database: Path, make_entry: Callable[..., AuditEntry]
) -> None:
    other = open_store(database.parent)
    logs = [AuditLog(opened, instance_id=uuid.UUID(int=7)) for opened in (store, other)]
    for number in range(20):
        logs[number % 2].append(make_entry(principal=f"log {number % 2}"))
    report = logs[0].verify()
    assert (report.ok, report.records) == (True, 20)
    assert [operation.requesting_principal for operation in logs[1].records()] == ["log 0", "log 1"] * 10
    other.close()
