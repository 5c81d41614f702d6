"""The log on a server that several machines share: one chain, and answers that agree with it whatever breaks."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from keyclave.audit.checker import FaultKind
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.errors import AuditUnavailable
from keyclave.state.store import Store

from core.tests.audit.second_checker import check_chains
from core.tests.databases import Place, on_server
from tests.services.postgresql import Server, running

pytestmark = pytest.mark.needs("postgresql")

INSTANCE = uuid.UUID(int=7)
Make = Callable[..., AuditEntry]


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Iterator[Place]:
    with on_server(server, tmp_path) as made:
        yield made


@contextlib.contextmanager
def opened(place: Place) -> Iterator[AuditLog]:
    with contextlib.closing(place.open()) as store, contextlib.closing(AuditLog(store, instance_id=INSTANCE)) as log:
        yield log


def test_threads_of_two_machines_append_one_intact_chain(place: Place, make_entry: Make) -> None:
    with opened(place) as one, opened(place) as other, ThreadPoolExecutor(8) as pool:
        references = list(pool.map(lambda number: (one, other)[number % 2].append(make_entry()), range(200)))
        report = other.verify()
        assert (report.ok, report.records) == (True, 200)
        assert sorted(map(str, references)) == sorted(str(o.audit_trail_reference) for o in one.records())


def test_a_record_that_the_database_refuses_costs_nobody_else(place: Place, make_entry: Make) -> None:
    with opened(place) as log:
        known = make_entry()
        log.append(known)
        with pytest.raises(AuditUnavailable, match="refused") as caught:
            log.append(known)
        assert not caught.value.retryable
        log.append(make_entry())
        assert log.verify().records == 2


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("UPDATE operations SET record = record || 'x'::bytea WHERE sequence = 3", FaultKind.CHAIN),
        ("UPDATE operations SET key_reference = 'name:other' WHERE sequence = 3", FaultKind.COLUMN),
        ("DELETE FROM operations WHERE sequence = 3", FaultKind.MISSING),
    ],
)
def test_the_record_that_is_wrong_is_named(place: Place, make_entry: Make, change: str, kind: FaultKind) -> None:
    with opened(place) as log:
        for _ in range(5):
            log.append(make_entry())
        with place.raw() as connection:
            connection.execute("SET session_replication_role = replica")  # as somebody who owns the server can
            connection.execute(change)
        (first, *_) = log.verify().faults
        assert (first.sequence, first.kind) == (3, kind)


TAMPERED: dict[str, tuple[str, list[tuple[int, int, FaultKind]]]] = {
    "nothing": ("SELECT 1", []),
    "a record of the second chain": (
        "UPDATE operations SET record = record || 'x'::bytea WHERE chain = 2 AND sequence = 3",
        [(2, 3, FaultKind.CHAIN), (2, 3, FaultKind.RECORD)],
    ),
    "a record moved to the end of the other chain": (
        "UPDATE operations SET chain = 1, sequence = 6 WHERE chain = 2 AND sequence = 5",
        [(1, 6, FaultKind.CHAIN), (1, 6, FaultKind.TAIL), (2, 5, FaultKind.TAIL)],
    ),
    "the chains exchanged": (
        "UPDATE operations SET chain = 3 - chain",
        [(1, 5, FaultKind.TAIL), (2, 5, FaultKind.TAIL)],
    ),
    "a chain without its head": (
        "DELETE FROM audit_head WHERE chain = 2",
        [(0, 0, FaultKind.CHAINS)],
    ),
    "a whole chain": (
        "WITH gone AS (DELETE FROM audit_head WHERE chain = 2) DELETE FROM operations WHERE chain = 2",
        [(0, 0, FaultKind.CHAINS)],
    ),
    "the instance as it was when there was one chain": (
        "UPDATE instance SET chains = '5'",
        [(1, 5, FaultKind.HEAD), (2, 5, FaultKind.HEAD), (0, 0, FaultKind.KEYS)],
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_every_chain_is_proved_and_both_checkers_agree(place: Place, make_entry: Make, name: str) -> None:
    change, faults = TAMPERED[name]
    with opened(place) as one, opened(place) as other:
        for log in (one, other) * 5:
            log.append(make_entry())
        with place.raw() as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("ALTER TABLE operations DROP CONSTRAINT operations_pkey")
            connection.execute(change.encode())
            wrong = check_chains(connection)
        report = one.verify()
    assert [(fault.chain, fault.sequence, fault.kind) for fault in report.faults] == faults
    assert {chain for chain, _ in wrong} >= {chain for chain, _, kind in faults if chain and kind != FaultKind.HEAD}
    assert bool(wrong) is bool(faults)


def test_a_database_locked_for_too_long_refuses_and_then_works_again(place: Place, make_entry: Make) -> None:
    with contextlib.closing(place.open(timeout=0.2)) as store, place.raw() as other:
        log = AuditLog(store, instance_id=INSTANCE)
        other.execute("BEGIN")
        other.execute("LOCK TABLE instance IN EXCLUSIVE MODE")
        with pytest.raises(AuditUnavailable, match="locked") as caught:
            log.append(make_entry())
        assert caught.value.retryable
        other.execute("ROLLBACK")
        log.append(make_entry())
        assert log.verify().records == 1


def test_a_server_that_crashes_and_comes_back_has_every_record_that_was_acknowledged(
    tmp_path: Path, make_entry: Make
) -> None:
    with running() as own, on_server(own, tmp_path) as place, opened(place) as log:
        stop = threading.Event()

        def work(_: int) -> tuple[set[uuid.UUID], int]:
            acked, failed = set(), 0
            while not stop.is_set():
                entry = make_entry()
                try:
                    log.append(entry)
                except AuditUnavailable:
                    failed += 1
                    stop.wait(0.05)
                else:
                    acked.add(entry.operation_id)
            return acked, failed

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(work, number) for number in range(4)]
            while log.verify().records < 20:
                pass
            own.stop(signal.SIGQUIT)
            with pytest.raises(AuditUnavailable):
                log.append(make_entry())
            own.start()
            log.append(make_entry())
            stop.set()
            results = [future.result() for future in futures]
        own.stop(signal.SIGQUIT)
        own.start()
        log.append(make_entry())  # nothing was under way, so that it is only written on a new connection
        acked = set().union(*(found for found, _ in results))
        assert sum(failed for _, failed in results) > 0
        assert acked <= {operation.operation_id for operation in log.records()}
        assert log.verify().ok


def test_a_database_that_comes_back_without_a_record_gets_no_more(place: Place, make_entry: Make) -> None:
    """As from another server that had not got it yet. Its chain is perhaps that of another connection by then."""
    with opened(place) as one, opened(place) as other, place.raw() as connection:
        for log in (one, other):
            log.append(make_entry())
        connection.execute("CREATE TEMPORARY TABLE earlier AS TABLE audit_head")
        one.append(make_entry())
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM operations WHERE chain = 1 AND sequence = 2")
        connection.execute("DELETE FROM audit_head")
        connection.execute("INSERT INTO audit_head TABLE earlier")
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        other.append(make_entry())
        with pytest.raises(AuditUnavailable, match="not as it was written") as caught:
            one.append(make_entry())
        assert not caught.value.retryable


class Cut:
    """A wire between a store and the server, on port 5433, which can break at the next COMMIT.

    The COMMIT arrives at the server, but only after its client has noticed that the wire is broken.
    """

    def __init__(self, server: Server) -> None:
        self.armed = False
        self._server = str(server.directory / ".s.PGSQL.5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(server.directory / ".s.PGSQL.5433"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._server)
            answers = threading.Thread(target=_pass_on, args=(server, client))
            answers.start()
            while data := client.recv(65536):
                if self.armed and b"COMMIT\0" in data:
                    self.armed = False
                    client.shutdown(socket.SHUT_RDWR)
                    time.sleep(0.5)
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            answers.join()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on until either side is closed."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


def test_a_commit_that_was_durable_but_never_answered_counts_as_done(
    server: Server, place: Place, make_entry: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        contextlib.closing(Cut(server)) as wire,
        contextlib.closing(Store.open(f"{place.url}&port=5433", key_file=place.key_file)) as store,
    ):
        log = AuditLog(store, instance_id=INSTANCE)
        log.append(make_entry())
        wire.armed = True
        entry = make_entry()
        assert log.append(entry) is not None
        assert not wire.armed
        assert "reading the log again" in caplog.text
        log.append(make_entry())
        assert [operation.operation_id for operation in log.records()].count(entry.operation_id) == 1
        assert log.verify().records == 3
