"""The audit log's table: appended in sequence, found again, and its head cannot be moved back."""

from __future__ import annotations

import contextlib
import uuid

import msgspec
import pytest
from keyclave.errors import Conflict, IntegrityError
from keyclave.state.records import AuditHead, AuditRow
from keyclave.state.store import Store

from core.tests.databases import Place
from core.tests.state.test_integrity import disarm


def records(first: int, count: int) -> list[AuditRow]:
    return [
        AuditRow(
            sequence=number,
            operation_id=uuid.uuid4(),
            occurred_at=number * 1000,
            key_reference="key",
            record=f'{{"n":{number}}}'.encode(),
            hash=bytes([number]) * 32,
        )
        for number in range(first, first + count)
    ]


def append(store: Store, rows: list[AuditRow], head: AuditHead | None = None) -> None:
    last = AuditHead(sequence=rows[-1].sequence, hash=rows[-1].hash)
    with store.write() as state:
        state.audit.append(rows, head or last)


def test_an_empty_log_has_a_head(store: Store) -> None:
    with store.read() as state:
        assert state.audit.head() == AuditHead(sequence=0, hash=bytes(32))
        assert state.audit.rows(1, 0, 10) == ()


def test_records_are_found_as_they_were_appended(store: Store) -> None:
    rows = records(1, 5)
    append(store, rows[:1])
    append(store, rows[1:])
    with store.read() as state:
        assert state.audit.head() == AuditHead(sequence=5, hash=rows[-1].hash)
        assert state.audit.rows(1, 0, 10) == tuple(rows)
        assert state.audit.rows(1, 2, 2) == tuple(rows[2:4])
        assert state.audit.find(rows[3].operation_id) == rows[3]
        assert state.audit.find(uuid.uuid4()) is None


def test_the_head_moves_inside_the_transaction_that_appends(store: Store) -> None:
    rows = records(1, 2)
    with store.write() as state:
        state.audit.append(rows[:1], AuditHead(sequence=1, hash=rows[0].hash))
        assert state.audit.head() == AuditHead(sequence=1, hash=rows[0].hash)
        state.audit.append(rows[1:], AuditHead(sequence=2, hash=rows[1].hash))
        assert state.audit.head() == AuditHead(sequence=2, hash=rows[1].hash)


@pytest.mark.parametrize(("first", "count"), [(2, 1), (5, 2), (0, 2)])
def test_a_record_out_of_sequence_is_refused(store: Store, first: int, count: int) -> None:
    with pytest.raises(Conflict, match="appended"):
        append(store, records(first, count))
    with store.read() as state:
        assert state.audit.rows(1, -1, 10) == ()


def test_an_operation_is_recorded_once(store: Store) -> None:
    (row,) = records(1, 1)
    append(store, [row])
    twice = msgspec.structs.replace(row, sequence=2)
    with pytest.raises(Conflict, match="appended"):
        append(store, [twice])


def test_a_head_that_is_not_the_last_record_is_refused(store: Store) -> None:
    with pytest.raises(Conflict, match="head"):
        append(store, records(1, 2), AuditHead(sequence=1, hash=b"\1" * 32))
    with pytest.raises(Conflict, match="head"):
        append(store, records(1, 1), AuditHead(sequence=1, hash=b"\2" * 32))


def test_a_tail_that_was_cut_off_with_its_head_is_noticed(populated: Place) -> None:
    with populated.raw() as connection:
        disarm(populated, connection)
        connection.execute("DELETE FROM operations WHERE sequence = 2")
        connection.execute(
            "UPDATE audit_head SET sequence = 1, hash = (SELECT hash FROM operations WHERE sequence = 1)"
        )
    with (
        pytest.raises(IntegrityError),
        contextlib.closing(populated.open()) as store,
        store.read() as state,
    ):
        state.audit.head()


def test_a_record_without_its_identity_is_noticed(populated: Place) -> None:
    with populated.raw() as connection:
        disarm(populated, connection)
        connection.execute(f"UPDATE operations SET operation_id = '{'x' * 32}' WHERE sequence = 1")
    with (
        contextlib.closing(populated.open()) as store,
        store.read() as state,
        pytest.raises(IntegrityError, match="record 1"),
    ):
        state.audit.rows(1, 0, 10)
