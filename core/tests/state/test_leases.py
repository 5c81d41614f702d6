"""Leases as the database keeps them: over by its own clock, and with fencing numbers that only rise."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from keyclave.errors import Conflict, IntegrityError
from keyclave.state.migrations.guards import PREFIX
from keyclave.state.records import StoredLease
from keyclave.state.store import Store

from core.tests.databases import Place
from core.tests.state.raw_sql import error_of

LONG = timedelta(minutes=1)
OVER = timedelta(0)


@pytest.fixture
def stores(place: Place) -> Iterator[tuple[Store, Store]]:
    """Two stores on one database."""
    with contextlib.closing(place.open(0.3)) as one, contextlib.closing(place.open(0.3)) as other:
        yield one, other


def take(store: Store, holder: str, duration: timedelta = LONG, resource: str = "r") -> StoredLease:
    with store.lease() as state:
        return state.leases.take(state.leases.lock(resource), resource, holder, duration)


def test_a_lease_is_read_as_it_was_taken(stores: tuple[Store, Store]) -> None:
    one, other = stores
    lease = take(one, "a")
    with other.read() as state:
        assert state.leases.get("r") == lease
        assert state.leases.get("other") is None
        assert not state.leases.is_over(lease)
    assert (lease.holder, lease.fencing) == ("a", 1)
    assert timedelta(0) < lease.expires_at - datetime.now(UTC) <= LONG + timedelta(seconds=1)


def test_every_holder_has_a_higher_fencing_number(stores: tuple[Store, Store]) -> None:
    one, other = stores
    leases = [take(store, holder, OVER) for store, holder in ((one, "a"), (other, "b"), (one, "a"))]
    assert [lease.fencing for lease in leases] == [1, 2, 3]
    with one.lease() as state:
        assert [state.leases.holds(lease) for lease in leases] == [False, False, False]


def test_the_lease_before_does_not_hold_any_more(stores: tuple[Store, Store]) -> None:
    one, other = stores
    before, after = take(one, "a"), take(other, "b")
    with one.write() as state:
        assert not state.leases.holds(before)
        assert state.leases.holds(after)


def test_a_lease_ends_by_the_clock_of_the_database(place: Place, stores: tuple[Store, Store]) -> None:
    one, _ = stores
    lease = take(one, "a")
    with one.lease() as state:
        longer = state.leases.extend(lease, LONG * 2)
        assert longer.expires_at - lease.expires_at > LONG * 0.9
        assert state.leases.holds(lease)
    with place.raw() as connection:
        query = "strftime('%s', 'now')" if place.kind == "sqlite" else "extract(epoch FROM clock_timestamp())"
        (seconds,) = connection.execute(f"SELECT {query}").fetchone()
    with one.read() as state:
        assert abs(state.leases.now().timestamp() - float(seconds)) < 5
    with one.lease() as state:
        state.leases.extend(lease, OVER)
        assert not state.leases.holds(lease)


def test_a_new_lease_is_taken_by_one(stores: tuple[Store, Store]) -> None:
    """Both found that there was none."""
    one, other = stores
    take(one, "a")
    with pytest.raises(Conflict), other.lease() as state:
        state.leases.take(None, "r", "b", LONG)
    with one.lease() as state:
        assert state.leases.lock("r") == state.leases.get("r")


@pytest.mark.needs("postgresql")
def test_what_is_locked_is_skipped_and_a_long_transaction_renews_no_less(postgresql_place: Place) -> None:
    with (
        contextlib.closing(postgresql_place.open(0.3)) as one,
        contextlib.closing(postgresql_place.open(0.3)) as other,
    ):
        lease, second = take(one, "a"), take(one, "a", resource="s")
        with one.write() as state:
            assert state.leases.holds(lease)
            with other.lease() as meanwhile:
                assert meanwhile.leases.lock_idle("r") is None
                assert meanwhile.leases.lock_idle("s") == second
                meanwhile.leases.extend(second, LONG)
            with pytest.raises(Conflict), other.lease() as meanwhile:
                meanwhile.leases.lock("r")
        with other.lease() as state:
            assert state.leases.lock_idle("r") == lease


def test_of_many_that_take_what_is_over_each_gets_a_number_of_its_own(place: Place) -> None:
    numbers: list[int] = []

    def take_often() -> None:
        with contextlib.closing(place.open()) as store:
            numbers.extend(take(store, threading.current_thread().name, OVER).fencing for _ in range(10))

    with contextlib.closing(place.open()) as store:
        take(store, "first", OVER)
    threads = [threading.Thread(target=take_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(2, 42))


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("fencing of leases never falls", "UPDATE leases SET fencing = fencing - 1"),
        ("another holder of a lease has another fencing number", "UPDATE leases SET holder = 'c'"),
        ("resource of leases never changes", "UPDATE leases SET resource = 's'"),
        ("no row of leases is deleted", "DELETE FROM leases"),
        ("such a row of leases exists", "INSERT INTO leases SELECT * FROM leases"),
    ],
)
def test_the_database_refuses(place: Place, rule: str, statement: str) -> None:
    with contextlib.closing(place.open()) as store:
        take(store, "a")
        take(store, "b")
    with place.raw() as connection:
        error = str(error_of(connection, (statement,)))
    assert PREFIX in error
    assert rule in error


@pytest.mark.parametrize("change", ["holder = 'b', fencing = 2", "expires_at = expires_at + 1", "mac = zeroblob(32)"])
def test_a_changed_lease_is_noticed(sqlite_place: Place, change: str) -> None:
    with contextlib.closing(sqlite_place.open()) as store:
        lease = take(store, "a")
        with sqlite_place.raw() as connection:
            connection.execute(f"UPDATE leases SET {change}")
        with pytest.raises(IntegrityError, match="leases"), store.write() as state:
            state.leases.holds(lease)
