from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.audit.pending import Outcome, Pending
from keyclave.audit.writer import Writer
from keyclave.errors import AuditUnavailable, InvalidArgument
from keyclave.models import OperationStatus, OperationType
from keyclave.state.store import Store

INSTANCE = uuid.UUID(int=7)
Make = Callable[..., AuditEntry]


def test_a_record_is_durable_and_readable_when_append_returns(
    log: AuditLog, database: Path, make_entry: Make
) -> None:
    entry = make_entry(error_message="no such key", status=OperationStatus.FAILED, provider_reference="request-1")
    reference = log.append(entry)
    assert reference == f"urn:keyclave:audit:{INSTANCE}:{entry.operation_id}"
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT sequence, operation_id, key_reference FROM operations").fetchall()
    assert rows == [(1, entry.operation_id.hex, entry.key_reference)]
    (operation,) = log.records()
    assert operation.operation_id == entry.operation_id
    assert operation.audit_trail_reference == reference
    assert operation.error_message == "no such key"
    assert operation.provider_reference == "request-1"
    assert operation.duration == timedelta(microseconds=33)


def test_a_log_that_is_not_enabled_writes_nothing(store: Store, make_entry: Make) -> None:
    log = AuditLog(store, instance_id=INSTANCE, enabled=False)
    assert not log.enabled
    assert log.append(make_entry()) is None
    with store.write() as transaction:
        assert log.append_in(transaction, make_entry()) == ()
    assert list(log.records()) == []


def test_a_bad_entry_is_refused_and_hurts_nobody(log: AuditLog, make_entry: Make) -> None:
    with pytest.raises(InvalidArgument):
        log.append(make_entry(principal=""))
    log.append(make_entry())
    assert log.verify().records == 1


def test_records_inside_a_state_change_share_its_fate(log: AuditLog, store: Store, make_entry: Make) -> None:
    log.append(make_entry())
    kept = [make_entry(), make_entry()]
    with store.write() as transaction:
        references = log.append_in(transaction, *kept)
    assert references == tuple(f"urn:keyclave:audit:{INSTANCE}:{entry.operation_id}" for entry in kept)
    with pytest.raises(InvalidArgument), store.write() as transaction:
        log.append_in(transaction, make_entry(), make_entry(principal=""))
    with contextlib.suppress(LookupError), store.write() as transaction:
        log.append_in(transaction, make_entry())
        raise LookupError
    last = make_entry()
    log.append(last)
    assert [operation.operation_id for operation in log.records()][1:] == [
        *(entry.operation_id for entry in kept),
        last.operation_id,
    ]
    assert log.verify().ok


def test_many_threads_append_one_intact_chain(log: AuditLog, make_entry: Make) -> None:
    def work(_: int) -> list[str | None]:
        return [log.append(make_entry()) for _ in range(50)]

    with ThreadPoolExecutor(16) as pool:
        references = [reference for part in pool.map(work, range(16)) for reference in part]
    stored = [operation.audit_trail_reference for operation in log.records()]
    assert sorted(stored, key=str) == sorted(references, key=str)
    assert len(stored) == 800
    report = log.verify()
    assert report.ok
    assert (report.records, report.chains[0].sequence) == (800, 800)


def test_an_operation_is_recorded_once(log: AuditLog, make_entry: Make) -> None:
    entry = make_entry()
    log.append(entry)
    with pytest.raises(AuditUnavailable) as caught:
        log.append(make_entry(operation_id=entry.operation_id, principal="somebody else"))
    assert not caught.value.retryable
    log.append(make_entry())
    assert log.verify().ok
    assert [operation.requesting_principal for operation in log.records()] == ["tester", "tester"]


def test_a_record_that_the_database_refuses_does_not_cost_the_others_theirs(
    log: AuditLog, store: Store, make_entry: Make
) -> None:
    known = make_entry()
    log.append(known)
    batch = [Pending(entry, None) for entry in (make_entry(), known, make_entry(), make_entry())]
    assert Writer(store).commit(batch)
    assert [pending.outcome is Outcome.WRITTEN for pending in batch] == [True, False, True, True]
    assert log.verify().records == 4


def test_a_database_locked_for_too_long_refuses_all_who_wait_and_then_works_again(
    database: Path, make_entry: Make
) -> None:
    store = Store.open(f"sqlite:///{database}", key_file=database.with_name("key"), timeout=0.2)
    log = AuditLog(store, instance_id=INSTANCE)
    with closing(sqlite3.connect(database, isolation_level=None)) as other, ThreadPoolExecutor(4) as pool:
        other.execute("BEGIN EXCLUSIVE")
        futures = [pool.submit(log.append, make_entry()) for _ in range(4)]
        errors = [future.exception(60) for future in futures]
        other.execute("ROLLBACK")
    assert all(isinstance(error, AuditUnavailable) and error.retryable for error in errors)
    assert "locked" in str(errors[0])
    log.append(make_entry())
    assert log.verify().records == 1
    store.close()


def test_a_log_set_back_to_an_earlier_state_under_a_running_process_is_noticed(
    log: AuditLog, database: Path, make_entry: Make
) -> None:
    log.append(make_entry())
    with closing(sqlite3.connect(database)) as connection:
        yesterday = connection.execute("SELECT sequence, hash, mac FROM audit_head").fetchone()
    log.append(make_entry())
    with closing(sqlite3.connect(database)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("DELETE FROM operations WHERE sequence = 2")
        connection.execute("UPDATE audit_head SET sequence = ?, hash = ?, mac = ?", yesterday)
        connection.commit()
    with pytest.raises(AuditUnavailable) as caught:
        log.append(make_entry())
    assert not caught.value.retryable
    assert "not as it was written" in str(caught.value)
    assert log.verify().records == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_is_refused_and_the_parent_is_unharmed(log: AuditLog, make_entry: Make) -> None:
    log.append(make_entry())
    child = os.fork()
    if child == 0:
        try:
            log.append(make_entry())
        except AuditUnavailable as error:
            os._exit(0 if "forked" in str(error) and not error.retryable else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log.append(make_entry())
    assert log.verify().records == 2


def test_a_closed_log_refuses_and_leaves_the_database_open(log: AuditLog, make_entry: Make) -> None:
    log.append(make_entry())
    log.close()
    log.close()
    with pytest.raises(AuditUnavailable, match="closed") as caught:
        log.append(make_entry())
    assert "keyclave.open" in caught.value.next_step
    assert log.verify().records == 1


def test_records_are_filtered(log: AuditLog, make_entry: Make) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = int(start.timestamp()) * 10**6
    for number in range(4):
        log.append(
            make_entry(
                occurred_at=first + number * 86_400 * 10**6,
                key_reference=f"name:k{number % 2}",
                operation_type=OperationType.SIGN if number < 3 else OperationType.VERIFY,
            )
        )

    def days(**wanted: object) -> list[int]:
        return [(operation.timestamp - start).days for operation in log.records(**wanted)]  # type: ignore[arg-type]  # each case names its own

    day = timedelta(days=1)
    assert days() == [0, 1, 2, 3]
    assert days(key_reference="name:k1") == [1, 3]
    assert days(operation_type=OperationType.VERIFY) == [3]
    assert days(since=start + day, until=start + 3 * day) == [1, 2]
    assert days(key_reference="name:k0", since=start + day) == [2]
    with pytest.raises(InvalidArgument, match="until"):
        log.records(until=datetime(2026, 1, 1))  # noqa: DTZ001  the point of the test


def test_reading_goes_on_over_pages_while_others_append(log: AuditLog, make_entry: Make) -> None:
    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: log.append(make_entry()), range(400)))
    reading = log.records()
    seen = [next(reading).operation_id]
    writer = threading.Thread(target=lambda: [log.append(make_entry()) for _ in range(20)])
    writer.start()
    writer.join()
    seen += [operation.operation_id for operation in reading]
    assert len(set(seen)) == len(seen) == 1220


def test_nothing_is_logged_of_what_a_record_holds(
    log: AuditLog, store: Store, make_entry: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store.close()
    with pytest.raises(AuditUnavailable):
        log.append(make_entry(principal="canary-principal"))
    assert "reading the log again" in caplog.text
    assert "canary" not in caplog.text
