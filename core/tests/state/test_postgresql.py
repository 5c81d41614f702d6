"""What only a server has: settings that somebody else makes, secrets in its address, connections that break."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from keyclave.errors import ConfigurationError, Conflict, IntegrityError, StateUnavailable
from keyclave.models import KeyStatus
from keyclave.state.databases import database_at
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.schema import METADATA
from keyclave.state.store import Store
from keyclave.state.upgrade import upgrade

from core.tests.databases import Place, on_server
from tests.services.postgresql import Server, running

pytestmark = pytest.mark.needs("postgresql")

NewKey = Callable[..., StoredKey]
NewVersion = Callable[..., StoredVersion]


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that tests may stop, set and damage."""
    with running() as started:
        yield started


@pytest.fixture
def own_place(own_server: Server, tmp_path: Path) -> Iterator[Place]:
    with on_server(own_server, tmp_path) as place:
        yield place


def names(store: Store) -> list[str]:
    with store.read() as state:
        return [key.name for key in state.keys.page(None, 100)]


def add(store: Store, key: StoredKey) -> None:
    with store.write() as state:
        state.keys.add(key)


@pytest.mark.parametrize("setting", ["off", "local", "remote_write"])
def test_a_commit_that_is_not_on_the_disk_when_it_returns_is_refused(
    server: Server, postgresql_place: Place, setting: str
) -> None:
    with postgresql_place.raw() as connection:
        (name,) = connection.execute("SELECT current_database()").fetchone()
    server.execute(f"ALTER DATABASE {name} SET synchronous_commit = {setting}")
    with pytest.raises(ConfigurationError, match=f"synchronous_commit is {setting}, not on"):
        postgresql_place.open()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_can_lose_what_it_committed_is_refused(
    own_server: Server, own_place: Place, setting: str
) -> None:
    own_server.execute(f"ALTER SYSTEM SET {setting} = off")
    reload(own_server, setting, "off")
    with pytest.raises(ConfigurationError, match=f"{setting} is off, not on"):
        own_place.open()
    own_server.execute(f"ALTER SYSTEM RESET {setting}")
    reload(own_server, setting, "on")
    own_place.open().close()


def reload(server: Server, setting: str, value: str) -> None:
    server.execute("SELECT pg_reload_conf()")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        while connection.execute(f"SHOW {setting}".encode()).fetchone() != (value,):
            time.sleep(0.01)


def test_a_database_that_cannot_hold_every_text_is_refused(server: Server, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    place = Place("postgresql", server.url("latin"), tmp_path / "key")
    for use in (place.open, lambda: upgrade(place.url)):
        with pytest.raises(ConfigurationError, match="server_encoding is LATIN1, not UTF8"):
            use()


def test_a_database_of_something_else_is_refused(server: Server, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE songs")
    place = Place("postgresql", server.url("songs"), tmp_path / "key")
    with place.raw() as connection:
        connection.execute("CREATE TABLE songs (title text)")
    for use in (place.open, lambda: upgrade(place.url)):
        with pytest.raises(ConfigurationError, match="not a database of Keyclave"):
            use()
    assert not place.key_file.exists()


def test_an_upgrade_that_was_interrupted_before_its_end_is_done_anew(server: Server, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE begun")
    place = Place("postgresql", server.url("begun"), tmp_path / "private" / "key")
    with place.raw() as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
    with pytest.raises(ConfigurationError, match="missing or old"):
        place.open()
    upgrade(place.url)
    place.open().close()


def test_two_that_upgrade_at_once_do_it_once(server: Server, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE twice")
    place = Place("postgresql", server.url("twice"), tmp_path / "private" / "key")
    with place.raw() as other:
        other.execute("BEGIN")
        other.execute(database_at(place.url, 1).lock_for_upgrade())
        with pytest.raises(Conflict, match="locked"):
            upgrade(place.url, timeout=0.1)
        other.execute("ROLLBACK")
    upgrade(place.url)
    place.open().close()


def test_the_address_is_shown_without_secrets(tmp_path: Path) -> None:
    url = "postgresql://me:canary1@/db?host=/nowhere&port=1&password=canary2&sslpassword=canary3&options=-ccanary4"
    database = database_at(url, 1)
    assert database.place() == "postgresql://me:***@/db?host=%2Fnowhere&port=1"
    for use in (lambda: Store.open(url, key_file=tmp_path / "key"), lambda: upgrade(url)):
        with pytest.raises(StateUnavailable, match="no connection to postgresql://me") as caught:
            use()
        assert "canary" not in f"{caught.value} {caught.value!r} {database!r}"
        assert "password" in str(caught.value.next_step)
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("keyclave@", "nobody@", "the server has no such database or user"),
        ("/keyclave_", "/missing_", "the server has no such database or user"),
        ("host=%2F", "host=%2Fnowhere%2F", "there is no socket of a server in that directory"),
        ("host=%2F", "sslmode=ful&host=%2F", "sslmode has a value that libpq does not know"),
        ("host=%2F", "sslmod=canary&host=%2F", "an option of the URL is not one of libpq's"),
        ("host=%2F", "gssencmode=canary&host=%2F", "OperationalError"),
    ],
)
def test_why_there_is_no_connection_is_said(postgresql_place: Place, right: str, wrong: str, reason: str) -> None:
    url = postgresql_place.url.replace("host=/", "host=%2F")
    assert right in url
    with pytest.raises(StateUnavailable, match=f": {reason}") as caught:
        upgrade(url.replace(right, wrong))
    assert "canary" not in str(caught.value)


def test_a_host_that_does_not_answer_is_said_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StateUnavailable, match="/db: nothing answers on that host and port"):
        Store.open(f"postgresql://me@127.0.0.1:{port}/db", key_file=tmp_path / "key")


@pytest.mark.parametrize(
    ("right", "reason"),
    [
        ("NOLOGIN", "the user may not log in"),
        ("LOGIN CONNECTION LIMIT 0", "the server allows no more connections to this user or database"),
    ],
)
def test_what_a_user_may_not_is_said(server: Server, postgresql_place: Place, right: str, reason: str) -> None:
    server.execute(f"CREATE ROLE outsider {right}")
    try:
        with pytest.raises(StateUnavailable, match=f": {reason}"):
            upgrade(postgresql_place.url.replace("keyclave@", "outsider@"))
    finally:
        server.execute("DROP ROLE outsider")


def test_a_user_that_may_not_make_the_tables_is_told_who_may(server: Server, postgresql_place: Place) -> None:
    with postgresql_place.raw() as connection:
        connection.execute("CREATE ROLE powerless LOGIN")
        connection.execute("CREATE SCHEMA apart")
        connection.execute("GRANT USAGE ON SCHEMA apart TO powerless")
    url = postgresql_place.url.replace("keyclave@", "powerless@") + "&options=-csearch_path%3Dapart"
    try:
        with pytest.raises(
            StateUnavailable, match=r"postgresql://powerless@.* lacks a right on the database"
        ) as caught:
            upgrade(url)
    finally:
        with postgresql_place.raw() as connection:
            connection.execute("DROP OWNED BY powerless")
        server.execute("DROP ROLE powerless")
    assert "As the owner" in caught.value.next_step
    assert not caught.value.retryable


def test_password_and_options_reach_the_server(postgresql_place: Place) -> None:
    with postgresql_place.raw() as connection:
        connection.execute("CREATE SCHEMA apart")
    url = postgresql_place.url.replace("@", ":a%40+%2F%20b@")
    url += "&options=-csearch_path%3Dapart&application_name=mine"
    upgrade(url)
    with contextlib.closing(Store.open(url, key_file=postgresql_place.key_file)) as store, store.write():
        (connection,) = store.connections()
        assert isinstance(connection, psycopg.Connection)
        assert connection.info.password == "a@+/ b"
        assert connection.info.parameter_status("application_name") == "mine"
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'apart'").fetchone()
        rows = connection.execute("SELECT count(*) FROM public.instance").fetchone()
    assert (tables, rows) == ((len(METADATA.tables) + 1,), (0,))


def test_the_encoding_of_the_client_is_not_left_to_the_environment(
    postgresql_place: Place, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with contextlib.closing(postgresql_place.open()) as store:
        add(store, new_key(owner_principal="Ωmega"))
        with store.read() as state:
            assert state.keys.by_name("k").owner_principal == "Ωmega"


def test_a_user_who_may_change_no_rule_and_delete_nothing_is_enough(
    server: Server, postgresql_place: Place, new_key: NewKey, new_version: NewVersion
) -> None:
    server.execute("CREATE ROLE daily LOGIN")
    with postgresql_place.raw() as connection:
        connection.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO daily")
        connection.execute("REVOKE INSERT, UPDATE ON alembic_version FROM daily")
    daily = replace(postgresql_place, url=postgresql_place.url.replace("keyclave@", "daily@"))
    with contextlib.closing(daily.open()) as store:
        key = new_key()
        with store.write() as state:
            state.keys.add(key)
            state.keys.add_version(new_version(key))
            state.keys.update_version(key.key_id, 1, status=KeyStatus.REVOKED)
        store.reopen()
        assert names(store) == ["k"]
    with daily.raw() as connection:
        for statement in ("ALTER TABLE keys DISABLE TRIGGER USER", "DELETE FROM keys", "DROP TABLE keys"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_database_that_is_not_there_is_said_so(server: Server, tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable, match="/nothing") as caught:
        Store.open(server.url("nothing"), key_file=tmp_path / "key")
    assert "database of [state] url" in str(caught.value.next_step)


def test_without_its_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match="needs the package psycopg") as caught:
        Store.open("postgresql://host/db", key_file=tmp_path / "key")
    assert "keyclave[postgresql]" in str(caught.value.next_step)
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_the_database_cannot_hold_is_refused(postgresql_place: Place, new_key: NewKey) -> None:
    with contextlib.closing(postgresql_place.open()) as store:
        with pytest.raises(Conflict, match="cannot hold a value") as caught:
            add(store, new_key(owner_principal="a\0b"))
        assert not caught.value.retryable
        add(store, new_key())
        assert names(store) == ["k"]


def test_a_transaction_that_the_database_undid_is_not_taken_for_committed(postgresql_place: Place) -> None:
    database = database_at(postgresql_place.url, 1)
    with contextlib.closing(database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            cursor.execute("SELECT 1 / 0")
        with pytest.raises(StateUnavailable, match="undid"):
            database.commit(cursor)


def test_a_reading_connection_cannot_write(postgresql_place: Place) -> None:
    database = database_at(postgresql_place.url, 1)
    with (
        contextlib.closing(database.connect(read_only=True)) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.cursor().execute("UPDATE alembic_version SET version_num = '2'")


def test_a_broken_connection_fails_its_transaction_and_no_other(postgresql_place: Place, new_key: NewKey) -> None:
    def break_it() -> None:
        with store.write() as state:
            state.keys.add(new_key("lost"))
            with postgresql_place.raw() as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks"
                    " WHERE relation = 'instance'::regclass AND mode = 'ExclusiveLock'"
                )
            state.keys.add(new_key("after"))

    with contextlib.closing(postgresql_place.open()) as store:
        add(store, new_key("before"))
        with pytest.raises(StateUnavailable) as caught:
            break_it()
        assert caught.value.retryable
        add(store, new_key("next"))
        assert names(store) == ["before", "next"]


def test_a_server_that_crashes_keeps_what_was_committed(
    own_server: Server, own_place: Place, new_key: NewKey
) -> None:
    with contextlib.closing(own_place.open()) as store:
        for number in range(5):
            add(store, new_key(f"k{number}"))
        assert len(names(store)) == 5
        own_server.stop(signal.SIGQUIT)
        with pytest.raises(StateUnavailable):
            add(store, new_key("lost"))
        with pytest.raises(StateUnavailable, match="no connection"):
            add(store, new_key("lost"))
        own_server.start()
        assert names(store) == ["k0", "k1", "k2", "k3", "k4"]
        add(store, new_key("next"))
        assert names(store)[-1] == "next"


def test_a_crash_while_nothing_is_done_is_not_noticed_afterwards(
    own_server: Server, own_place: Place, new_key: NewKey
) -> None:
    """Every connection that was kept has died, the one of the leases and each of several that read."""
    with contextlib.closing(own_place.open()) as store:
        add(store, new_key("before"))
        with store.lease() as state, store.read(), store.read():
            state.leases.take(None, "work", "holder", timedelta(minutes=1))
        own_server.stop(signal.SIGQUIT)
        own_server.start()
        with store.lease() as state:
            assert state.leases.lock("work") is not None
        with store.read(), store.read():
            assert names(store) == ["before"]
        add(store, new_key("after"))
        assert names(store) == ["after", "before"]


def test_damaged_files_are_an_integrity_error(own_server: Server, own_place: Place, new_key: NewKey) -> None:
    with contextlib.closing(own_place.open()) as store:
        add(store, new_key())
    with own_place.raw() as connection:
        (path,) = connection.execute("SELECT pg_relation_filepath('keys')").fetchone()
    own_server.stop()
    file = own_server.directory / "data" / path
    file.write_bytes(b"\xff" * file.stat().st_size)
    own_server.start()
    with pytest.raises(IntegrityError, match="damaged"):
        own_place.open()


def test_a_process_that_is_stopped_in_a_transaction_does_not_hold_up_the_others(
    postgresql_place: Place, new_key: NewKey
) -> None:
    with (
        contextlib.closing(postgresql_place.open(0.3)) as stopped,
        contextlib.closing(postgresql_place.open()) as other,
    ):

        def stop() -> None:
            with stopped.write() as state:
                state.keys.add(new_key("late"))
                add(other, new_key("k"))
                state.keys.add(new_key("later"))

        with pytest.raises(StateUnavailable):
            stop()
        with stopped.read() as state:
            assert [key.name for key in state.keys.page(None, 10)] == ["k"]
