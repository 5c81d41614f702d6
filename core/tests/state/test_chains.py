"""Each process that writes has a chain of the audit log for itself, and none of them can go or be put back."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from keyclave.errors import Conflict, IntegrityError, InvalidArgument
from keyclave.models import KeyStatus
from keyclave.state.postgresql import PostgresqlDatabase
from keyclave.state.records import AuditRow
from keyclave.state.store import Store, Transaction
from sqlalchemy import text

from core.tests.databases import Place
from core.tests.state.samples import new_key, new_version

NOTICED = "a chain of the audit log is missing, or was put back"


def append(state: Transaction, count: int = 1) -> int:
    """Add records behind the end of the own chain, and return its number."""
    head: Any = state.audit.head()
    rows = []
    for _ in range(count):
        record = uuid.uuid4().hex.encode()
        head = AuditRow(
            sequence=head.sequence + 1,
            operation_id=uuid.uuid4(),
            occurred_at=0,
            key_reference="k",
            record=record,
            hash=sha256(head.hash + record).digest(),
        )
        rows.append(head)
    state.audit.append(rows, head)
    return state.audit.chain


def record(store: Store, count: int = 1) -> int:
    with store.append() as state:
        return append(state, count)


def assert_whole(store: Store, records: int) -> None:
    found = 0
    with store.read() as state:
        state.audit.prove()
        state.keys.prove()
        for chain in state.audit.chains():
            previous = bytes(32)
            for number, row in enumerate(state.audit.rows(chain, 0, 10_000), start=1):
                previous = sha256(previous + row.record).digest()
                assert (row.sequence, row.hash) == (number, previous)
                found += 1
            assert state.audit.head(chain).hash == previous
    assert found == records


@pytest.fixture
def two(postgresql_place: Place) -> Iterator[tuple[Store, Store]]:
    with contextlib.closing(postgresql_place.open()) as one, contextlib.closing(postgresql_place.open()) as other:
        yield one, other


def test_a_transaction_that_appends_changes_no_key(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="changes no key"), store.append() as state:
        state.keys.add(new_key())


def test_stores_share_the_one_chain_of_sqlite(sqlite_place: Place) -> None:
    with contextlib.closing(sqlite_place.open()) as one, contextlib.closing(sqlite_place.open()) as other:
        assert [record(one), record(other), record(one)] == [1, 1, 1]
        assert_whole(one, 3)
    with sqlite_place.raw() as connection, pytest.raises(Exception, match="CHECK constraint"):
        connection.execute("INSERT INTO audit_head VALUES (2, 0, 0, randomblob(32), randomblob(32))")


@pytest.mark.needs("postgresql")
def test_two_append_at_the_same_time_each_to_a_chain_of_its_own(two: tuple[Store, Store]) -> None:
    one, other = two
    assert (record(one), record(other)) == (1, 2)
    with one.append() as state:
        append(state, 3)
        record(other, 2)  # although the transaction of the first one has not ended
    assert_whole(one, 7)


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("kind", ["append", "write"])
def test_a_change_of_a_key_and_a_record_exclude_each_other(two: tuple[Store, Store], kind: str) -> None:
    """Otherwise a signature could be recorded, and released, after the revocation that it did not see."""
    key = new_key()
    assert [record(store) for store in two] == [1, 2]
    with two[0].write() as state:
        state.keys.add(key)
        state.keys.add_version(new_version(key))

    def revoke(state: Transaction) -> None:
        state.keys.update_version(key.key_id, 1, status=KeyStatus.REVOKED)

    def sign(state: Transaction) -> None:
        usable.append(state.keys.usable(key.key_id, 1, "SIGN"))
        append(state)

    usable: list[bool] = []
    first, second = (sign, revoke) if kind == "append" else (revoke, sign)
    begin, then = (two[0].append, two[1].write) if kind == "append" else (two[0].write, two[1].append)

    def follow() -> None:
        with then() as state:
            second(state)

    with ThreadPoolExecutor(1) as pool:
        with begin() as state:
            first(state)
            following = pool.submit(follow)
            with pytest.raises(TimeoutError):
                following.result(0.3)
        following.result(10)
    assert usable == [kind == "append"]


@pytest.mark.needs("postgresql")
def test_the_chain_of_one_that_has_ended_is_taken_by_the_next(postgresql_place: Place) -> None:
    with contextlib.closing(postgresql_place.open()) as one:
        assert record(one) == 1
        for _ in range(3):
            with contextlib.closing(postgresql_place.open()) as other:
                assert record(other) == 2
        assert_whole(one, 4)


@pytest.mark.needs("postgresql")
def test_the_chain_of_one_that_was_killed_is_taken_by_the_next(postgresql_place: Place) -> None:
    command = [sys.executable, "-m", "core.tests.state.working", postgresql_place.url, str(postgresql_place.key_file)]
    with subprocess.Popen([*command, "k", "2", "kill"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    with contextlib.closing(postgresql_place.open()) as store:
        with store.write() as state:  # waits until the server has ended the transaction of the other one
            assert state.epoch
        assert record(store) in {1, 2}  # the session that had the first one may be just about to end
        assert_whole(store, 3)


@pytest.mark.needs("postgresql")
def test_two_that_have_the_same_chain_wait_for_each_other_and_keep_it_whole(
    postgresql_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pool of connections that forgets the locks of a session."""
    monkeypatch.setattr(PostgresqlDatabase, "chain_claim", text("SELECT :the_chain = 1"))
    with contextlib.closing(postgresql_place.open()) as one, contextlib.closing(postgresql_place.open()) as other:

        def work(store: Store) -> set[int]:
            return {record(store, 2) for _ in range(30)}

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(work, (one, other))) == [{1}, {1}]
        assert_whole(one, 120)


@pytest.mark.needs("postgresql")
def test_many_that_begin_at_once_have_a_chain_each(postgresql_place: Place) -> None:
    barrier = threading.Barrier(5)

    def work(_: int) -> int:
        with contextlib.closing(postgresql_place.open()) as store:
            barrier.wait()
            number = record(store)
            barrier.wait()
            return number

    with ThreadPoolExecutor(5) as pool:
        taken = sorted(pool.map(work, range(5)))
    assert len(set(taken)) == 5
    with contextlib.closing(postgresql_place.open()) as store:
        assert_whole(store, 5)
        with store.read() as state:
            assert state.audit.chains() == tuple(range(1, max(taken) + 1))


@contextlib.contextmanager
def disarmed(place: Place) -> Iterator[Any]:
    with place.raw() as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def remove(connection: Any, _: Any) -> None:
    connection.execute("DELETE FROM operations WHERE chain = 2")
    connection.execute("DELETE FROM audit_head WHERE chain = 2")


def put_back(connection: Any, before: Any) -> None:
    connection.execute("DELETE FROM operations WHERE chain = 2 AND sequence > 1")
    connection.execute("UPDATE audit_head SET epoch = %s, hash = %s, mac = %s, sequence = 1 WHERE chain = 2", before)


def write_history(place: Place) -> Any:
    """Two chains, and a key that is changed by the first process after the second one has recorded twice.

    Returns the head of the second chain as it was between its records.
    """
    with contextlib.closing(place.open()) as one, contextlib.closing(place.open()) as other:
        assert (record(one), record(other)) == (1, 2)
        with place.raw() as connection:
            before = connection.execute("SELECT epoch, hash, mac FROM audit_head WHERE chain = 2").fetchone()
        record(other)
        with one.write() as state:
            state.keys.add(new_key("k"))
            append(state)
    return before


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("edit", [remove, put_back])
def test_a_chain_that_is_gone_or_put_back_is_noticed(postgresql_place: Place, edit: Callable[..., None]) -> None:
    before = write_history(postgresql_place)
    with contextlib.closing(postgresql_place.open()) as store:
        with disarmed(postgresql_place) as connection:
            edit(connection, before)
        with pytest.raises(IntegrityError, match=NOTICED), store.read() as state:
            state.audit.prove()
        with pytest.raises(IntegrityError, match=NOTICED), store.write() as state:
            state.keys.add(new_key("later"))  # would seal the place where the chain was put back to
    with pytest.raises(IntegrityError, match=NOTICED):
        postgresql_place.open()


@pytest.mark.needs("postgresql")
def test_heads_that_were_exchanged_are_noticed_by_who_knows_them(
    two: tuple[Store, Store], postgresql_place: Place
) -> None:
    """What was found good as the head of one chain is not good as that of another."""
    assert [record(store) for store in two] == [1, 2]
    with disarmed(postgresql_place) as connection:
        connection.execute(
            "UPDATE audit_head SET epoch = other.epoch, hash = other.hash, mac = other.mac, sequence = other.sequence"
            " FROM audit_head AS other WHERE other.chain = 3 - audit_head.chain"
        )
    with pytest.raises(IntegrityError, match="audit_head"), two[1].read() as state:
        assert state.epoch
    for store in two:
        with pytest.raises(IntegrityError, match="audit_head"), store.append() as state:
            append(state)


@pytest.mark.needs("postgresql")
def test_records_beside_the_chains_are_noticed(postgresql_place: Place) -> None:
    write_history(postgresql_place)
    with contextlib.closing(postgresql_place.open()) as store:
        with disarmed(postgresql_place) as connection:
            connection.execute(
                "INSERT INTO operations SELECT sequence, repeat('0', 32), occurred_at, key_reference, record, hash, 3"
                " FROM operations WHERE chain = 2 AND sequence = 1"
            )
        with pytest.raises(IntegrityError, match="is not one"), store.read() as state:
            state.audit.prove()


@pytest.mark.needs("postgresql")
def test_no_record_is_appended_to_a_chain_that_is_not_there(postgresql_place: Place) -> None:
    with postgresql_place.raw() as connection, pytest.raises(Exception, match="a record is new and is appended"):
        connection.execute(b"INSERT INTO operations VALUES (1, repeat('0', 32), 0, 'k', ''::bytea, sha256(''), 2)")


@pytest.mark.needs("postgresql")
def test_one_refused_record_of_many_leaves_none(two: tuple[Store, Store]) -> None:
    with two[0].append() as state:
        known = state.audit.head()
        append(state, 2)
    with pytest.raises(Conflict, match="is appended"), two[1].append() as state, two[0].read() as there:
        state.audit.append(there.audit.rows(1, 0, 2), known)
    assert_whole(two[0], 2)
