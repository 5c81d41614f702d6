"""Transactions: all or nothing, one writer at a time, readers that see one moment, and faults that end well."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from keyclave.errors import Conflict, IntegrityError, InvalidArgument, KeyclaveError, StateUnavailable
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Store

from core.tests.databases import Place
from core.tests.state.samples import BACKEND

NewKey = Callable[..., StoredKey]
NewVersion = Callable[..., StoredVersion]


def names(store: Store) -> list[str]:
    with store.read() as state:
        return [key.name for key in state.keys.page(None, 100)]


def add(store: Store, key: StoredKey) -> None:
    with store.write() as state:
        state.keys.add(key)


def test_a_block_that_raises_leaves_no_trace(store: Store, new_key: NewKey) -> None:
    def fail() -> None:
        with store.write() as state:
            state.keys.add(new_key())
            raise KeyError("anything")

    with pytest.raises(KeyError):
        fail()
    assert names(store) == []
    add(store, new_key())
    assert names(store) == ["k"]


def test_a_failed_statement_fails_the_transaction_even_where_the_block_goes_on(
    store: Store, new_key: NewKey, new_version: NewVersion
) -> None:
    """Some databases go on after an error, others forget all of the transaction: here nothing of it is written."""
    key = new_key()

    def go_on() -> None:
        with store.write() as state:
            state.keys.add(key)
            with contextlib.suppress(KeyclaveError):
                state.keys.add_version(new_version(key, 5))
            with contextlib.suppress(KeyclaveError):
                state.backends.put(BACKEND)

    with pytest.raises(Conflict, match="one more than the newest"):
        go_on()
    with store.read() as state:
        assert state.keys.page(None, 10) == ()
        assert state.backends.all() == ()


def test_the_error_of_the_driver_is_not_attached(store: Store, new_key: NewKey, new_version: NewVersion) -> None:
    key = new_key()
    with pytest.raises(Conflict) as caught, store.write() as state:
        state.keys.add_version(new_version(key))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_transaction_cannot_be_used_after_its_end(store: Store, new_key: NewKey, kind: str) -> None:
    with getattr(store, kind)() as state:
        keys = state.keys
    with pytest.raises(StateUnavailable, match="ended"):
        keys.page(None, 1)
    with pytest.raises(StateUnavailable, match="ended"):
        keys.add(new_key())
    assert names(store) == []


def test_a_reading_transaction_changes_nothing(store: Store, new_key: NewKey) -> None:
    with pytest.raises(KeyclaveError), store.read() as state:
        state.keys.add(new_key())
    assert names(store) == []


def test_a_reader_sees_one_moment_and_waits_for_no_writer(store: Store, new_key: NewKey) -> None:
    with store.read() as before:
        assert before.keys.page(None, 10) == ()
        with store.write() as state:
            state.keys.add(new_key())
            assert names(store) == []
        assert names(store) == ["k"]
        assert before.keys.page(None, 10) == ()
        assert before.epoch == 0


def test_a_second_writing_transaction_of_one_thread_is_refused_at_once(store: Store) -> None:
    with store.write(), pytest.raises(InvalidArgument, match="already"), store.write():
        pass
    with store.write() as state:
        assert state.epoch == 0


def test_threads_write_one_after_the_other_and_lose_nothing(store: Store, new_key: NewKey) -> None:
    def work(number: int) -> None:
        for count in range(10):
            add(store, new_key(f"{number}-{count}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(store)) == 40
    with store.read() as state:
        assert state.epoch == 40


def test_a_thread_that_waits_too_long_gets_a_conflict(place: Place) -> None:
    outcomes: list[object] = []

    def wait() -> None:
        try:
            with store.write():
                outcomes.append("entered")
        except Conflict as error:
            outcomes.append(error.retryable)

    with contextlib.closing(place.open(timeout=0.05)) as store:
        with store.write():
            thread = threading.Thread(target=wait)
            thread.start()
            thread.join()
        assert outcomes == [True]
        with store.write() as state:
            assert state.epoch == 0


def test_another_connection_that_keeps_the_lock_makes_a_conflict(place: Place, new_key: NewKey) -> None:
    with contextlib.closing(place.open(timeout=0.05)) as store, place.raw() as other:
        if place.kind == "sqlite":
            other.execute("BEGIN IMMEDIATE")
        else:
            other.execute("BEGIN")
            other.execute("UPDATE instance SET mac = mac WHERE epoch < 0")
        with pytest.raises(Conflict, match=r"the database .*(state\.db|postgresql://).* was locked") as caught:
            add(store, new_key())
        assert caught.value.retryable
        assert "the process that keeps the database locked" in caught.value.next_step
        assert names(store) == []
        other.execute("ROLLBACK")
        add(store, new_key())
        assert names(store) == ["k"]


def test_a_full_database_is_unavailable_and_works_again_with_space(sqlite_place: Place, new_key: NewKey) -> None:
    with contextlib.closing(sqlite_place.open()) as store:
        add(store, new_key("before"))
        (writer,) = (c for c in store.connections() if isinstance(c, sqlite3.Connection))
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StateUnavailable, match=r"state\.db failed: the disk is full \(SQLITE_FULL\)"):
            add(store, new_key("full", owner_principal="x" * 100_000))
        # The connection with the limit was dropped.
        add(store, new_key("after", owner_principal="x" * 100_000))
        assert names(store) == ["after", "before"]


def test_a_damaged_database_is_an_integrity_error(sqlite_place: Place, new_key: NewKey) -> None:
    with contextlib.closing(sqlite_place.open()) as store:
        add(store, new_key())
    path = Path(sqlite_place.url.removeprefix("sqlite:///"))
    with sqlite_place.raw() as connection:
        root, size = (
            connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'keys'").fetchone()[0],
            connection.execute("PRAGMA page_size").fetchone()[0],
        )
    content = bytearray(path.read_bytes())
    content[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(content)
    with contextlib.closing(sqlite_place.open()) as store:
        with pytest.raises(IntegrityError, match="damaged"):
            names(store)
        with store.read() as state:
            assert state.backends.all() == ()


def test_reopening_shows_what_the_disk_holds(store: Store, new_key: NewKey) -> None:
    add(store, new_key())
    with store.read() as state:
        held, before = state.keys, store.connections()
        store.reopen()
        assert len(held.page(None, 10)) == 1
    assert names(store) == ["k"]
    add(store, new_key("l"))
    assert names(store) == ["k", "l"]
    assert len(before) == 2
    assert not any(old is connection for old in before for connection in store.connections())


def test_reopening_writes_the_log_into_the_database_file(sqlite_place: Place, new_key: NewKey) -> None:
    log = Path(sqlite_place.url.removeprefix("sqlite:///") + "-wal")
    with contextlib.closing(sqlite_place.open()) as store:
        add(store, new_key())
        assert names(store) == ["k"]
        assert log.stat().st_size > 0
        store.reopen()
        assert log.stat().st_size == 0
        assert names(store) == ["k"]


def test_reopening_while_another_connection_reads_is_a_conflict(sqlite_place: Place, new_key: NewKey) -> None:
    with contextlib.closing(sqlite_place.open(timeout=0.05)) as store, sqlite_place.raw() as other:
        add(store, new_key())
        other.execute("BEGIN")
        other.execute("SELECT * FROM keys").fetchall()
        add(store, new_key("l"))
        with pytest.raises(Conflict):
            store.reopen()
        other.execute("ROLLBACK")
        store.reopen()
        assert names(store) == ["k", "l"]


FAILING_COMMIT = """
import os, resource, signal, sys
from pathlib import Path
from keyclave.errors import StateUnavailable
from keyclave.state.store import Store
from core.tests.state.samples import BACKEND

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store.open(sys.argv[1], key_file=Path(sys.argv[2]))
with store.write() as state:
    state.backends.put(BACKEND)
log = Path(sys.argv[1].removeprefix("sqlite:///") + "-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
try:
    with store.write() as state:
        state.backends.put(BACKEND.model_copy(update={"backend_id": "lost"}))
        print("reached the commit")
except StateUnavailable as error:
    print("unavailable", error.retryable, "SQLITE" in str(error))
print("connections", len(store.connections()))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.reopen()
with store.write() as state:
    state.backends.put(BACKEND.model_copy(update={"backend_id": "next"}))
with store.read() as state:
    print(*[backend.backend_id for backend in state.backends.all()])
store.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the fault is made with a POSIX limit")
def test_a_commit_that_cannot_be_written_is_unavailable_and_the_next_one_works(sqlite_place: Place) -> None:
    command = [sys.executable, "-c", FAILING_COMMIT, sqlite_place.url, str(sqlite_place.key_file)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stdout.splitlines() == [
        "reached the commit",
        "unavailable True True",
        "connections 0",
        "next software",
    ]
