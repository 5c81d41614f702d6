"""A database, a log on it, entries to write, and a program that appends: each test with its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.models import OperationStatus, OperationType
from keyclave.state.store import Store

PROGRAM = Path(__file__).with_name("append_records.py")
INSTANCE = uuid.UUID(int=7)


def _entry(**changes: Any) -> AuditEntry:
    fields: dict[str, Any] = {
        "operation_id": uuid.uuid4(),
        "operation_type": OperationType.SIGN,
        "key_reference": "5f0c91a6-6f0b-4a2e-9a56-0d6f4dbf5c11",
        "key_version": 1,
        "occurred_at": time.time_ns() // 1000,
        "principal": "tester",
        "status": OperationStatus.SUCCESS,
        "duration_us": 33,
        "backend_id": "software",
        "backend_type": "software",
    }
    return AuditEntry(**(fields | changes))


@pytest.fixture
def make_entry() -> Callable[..., AuditEntry]:
    return _entry


def _open_store(directory: Path) -> Store:
    return Store.open(f"sqlite:///{directory / 'state.db'}", key_file=directory / "key")


@pytest.fixture
def open_store() -> Callable[[Path], Store]:
    return _open_store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    opened = _open_store(database.parent)
    yield opened
    opened.close()


@pytest.fixture
def log(store: Store) -> Iterator[AuditLog]:
    opened = AuditLog(store, instance_id=INSTANCE)
    yield opened
    opened.close()


class Result(NamedTuple):
    """What the program acknowledged and refused, and what the log holds."""

    acked: set[str]
    failed: set[str]
    stored: set[str]


class Appender:
    """The program ``append_records.py`` on a database of its own, which is made before it starts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        _open_store(directory).close()

    def command(self, threads: int, count: int) -> list[str]:
        # The interpreter itself: strace must not count the system calls of a launcher.
        return [os.path.realpath(sys.executable), str(PROGRAM), str(self.directory), str(threads), str(count)]

    def start(self, threads: int, count: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(threads, count), env=self.environment)

    def noted(self, name: str) -> set[str]:
        path = self.directory / name
        return {line.split()[0] for line in path.read_text().splitlines()} if path.exists() else set()

    def examine(self) -> Result:
        """Open what the program left behind, prove it, compare it with what was acknowledged, and append to it."""
        store = _open_store(self.directory)
        log = AuditLog(store, instance_id=INSTANCE)
        stored = {str(operation.operation_id) for operation in log.records()}
        assert log.verify().ok
        log.append(_entry())
        assert log.verify().records == len(stored) + 1
        log.close()
        store.close()
        result = Result(self.noted("acked"), self.noted("failed"), stored)
        assert result.acked <= result.stored
        assert not result.acked & result.failed
        return result


@pytest.fixture
def appender(tmp_path: Path) -> Appender:
    return Appender(tmp_path)
