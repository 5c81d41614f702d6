"""A COMMIT that succeeded without an answer, and a log that does not hold afterwards."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.audit.pending import Outcome, Pending
from keyclave.audit.writer import Writer
from keyclave.errors import AuditUnavailable
from keyclave.state.store import Store, Transaction

Make = Callable[..., AuditEntry]


class LostAnswers:
    """A database whose COMMIT succeeds without an answer, as when a connection is cut at that moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read = store.read
        self.reopened = 0
        self.answer: BaseException | None = None

    @contextmanager
    def append(self) -> Iterator[Transaction]:
        with self._store.append() as transaction:
            yield transaction
        if self.answer is not None:
            raise self.answer

    def reopen(self) -> None:
        self._store.reopen()
        self.reopened += 1


def test_a_commit_that_failed_and_is_durable_counts_as_done(store: Store, make_entry: Make) -> None:
    transactions = LostAnswers(store)
    log = AuditLog(transactions, instance_id=uuid.UUID(int=7))
    log.append(make_entry())
    transactions.answer = ConnectionResetError()
    assert log.append(make_entry()) is not None
    assert transactions.reopened == 1, "what is found is only trusted after it was written to the disk again"
    transactions.answer = None
    log.append(make_entry())
    assert transactions.reopened == 1
    assert log.verify().records == 3


def test_a_commit_that_failed_counts_for_the_same_record_only(store: Store, make_entry: Make) -> None:
    """The id of an operation is in the log, but with another record: that is not this operation's success."""
    transactions = LostAnswers(store)
    known = make_entry()
    AuditLog(store, instance_id=uuid.UUID(int=7)).append(known)
    pending = Pending(make_entry(operation_id=known.operation_id, principal="somebody else"), None)
    writer = Writer(transactions)
    writer._poisoned = True
    writer._recover([pending], tried=True)
    assert pending.outcome is Outcome.NOT_WRITTEN


def test_a_log_whose_end_does_not_hold_after_a_fault_stays_closed(
    store: Store, database: Path, make_entry: Make
) -> None:
    transactions = LostAnswers(store)
    log = AuditLog(transactions, instance_id=uuid.UUID(int=7))
    log.append(make_entry())
    AuditLog(store, instance_id=uuid.UUID(int=7)).append(make_entry())
    with closing(sqlite3.connect(database)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE operations SET record = CAST('{}' AS BLOB) WHERE sequence = 2")
        connection.commit()
    for transactions.answer in (ConnectionResetError(), None):
        with pytest.raises(AuditUnavailable) as caught:
            log.append(make_entry())
        assert not caught.value.retryable


def test_an_interrupted_commit_is_looked_up_before_the_next_one(store: Store, make_entry: Make) -> None:
    transactions = LostAnswers(store)
    log = AuditLog(transactions, instance_id=uuid.UUID(int=7))
    transactions.answer = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        log.append(make_entry())
    transactions.answer = None
    log.append(make_entry())
    assert transactions.reopened == 1
    assert log.verify().records == 2


def test_an_append_inside_a_transaction_of_the_same_thread_is_refused(store: Store, make_entry: Make) -> None:
    log = AuditLog(store, instance_id=uuid.UUID(int=7))
    with store.write(), pytest.raises(AuditUnavailable):
        log.append(make_entry())
    log.append(make_entry())
    assert log.verify().records == 1
