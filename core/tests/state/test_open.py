"""Opening the state: private files, the right key, a schema that this code knows, pragmas that are in force."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from keyclave.errors import ConfigurationError, Conflict, IntegrityError, StateUnavailable
from keyclave.state import sqlite as sqlite_module
from keyclave.state.store import Store

from core.tests.databases import Place

posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")


def database_file(place: Place) -> Path:
    return Path(place.url.removeprefix("sqlite:///"))


def test_an_instance_keeps_its_identity(place: Place) -> None:
    with contextlib.closing(place.open()) as first, contextlib.closing(place.open()) as second:
        assert first.instance_id == second.instance_id
    with contextlib.closing(place.open()) as third:
        assert third.instance_id == first.instance_id


def test_two_instances_differ(sqlite_place: Place, tmp_path: Path) -> None:
    other = Place("sqlite", f"sqlite:///{tmp_path}/other/state.db", tmp_path / "other" / "instance.key")
    with contextlib.closing(sqlite_place.open()) as one, contextlib.closing(other.open()) as two:
        assert one.instance_id != two.instance_id
    assert sqlite_place.key_file.read_bytes() != other.key_file.read_bytes()
    assert len(other.key_file.read_bytes()) == 32


@posix
def test_files_are_private_while_in_use_and_after(sqlite_place: Place) -> None:
    directory = database_file(sqlite_place).parent
    old_mask = os.umask(0)
    try:
        with contextlib.closing(sqlite_place.open()) as store:
            with store.write() as state:
                assert state.epoch == 0
            names = {path.name for path in directory.iterdir()}
            assert names >= {"state.db", "state.db-wal", "state.db-shm", "instance.key"}
            assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    finally:
        os.umask(old_mask)
    assert {path.name for path in directory.iterdir()} == {"state.db", "instance.key"}


@posix
@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm", "state.db-journal", "instance.key"])
def test_a_file_that_others_can_read_is_refused(sqlite_place: Place, name: str) -> None:
    sqlite_place.open().close()
    path = database_file(sqlite_place).with_name(name)
    path.touch()
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="0640"):
        sqlite_place.open()


@posix
def test_a_directory_that_others_can_enter_is_refused(sqlite_place: Place) -> None:
    database_file(sqlite_place).parent.mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="0755"):
        sqlite_place.open()
    assert not database_file(sqlite_place).exists()


@posix
@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm", "state.db-journal", "instance.key"])
def test_a_symbolic_link_is_refused(sqlite_place: Place, tmp_path: Path, name: str) -> None:
    sqlite_place.open().close()
    path = database_file(sqlite_place).with_name(name)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch(mode=0o600)
    path.unlink(missing_ok=True)
    path.symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        sqlite_place.open()
    assert elsewhere.read_bytes() == b""


@posix
def test_a_link_in_the_place_of_a_new_database_is_refused(sqlite_place: Place, tmp_path: Path) -> None:
    database_file(sqlite_place).parent.mkdir(mode=0o700)
    database_file(sqlite_place).symlink_to(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        sqlite_place.open()
    assert not (tmp_path / "nothing").exists()


@posix
@pytest.mark.parametrize("name", ["state.db", "state.db-wal"])
def test_a_pipe_is_refused_without_waiting_for_it(sqlite_place: Place, name: str) -> None:
    directory = database_file(sqlite_place).parent
    directory.mkdir(mode=0o700)
    os.mkfifo(directory / name, 0o600)
    with pytest.raises(ConfigurationError, match="no regular file"):
        sqlite_place.open()


@posix
def test_a_second_name_of_the_database_is_refused(sqlite_place: Place, tmp_path: Path) -> None:
    sqlite_place.open().close()
    os.link(database_file(sqlite_place), tmp_path / "second")
    with pytest.raises(ConfigurationError, match="second name"):
        sqlite_place.open()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["", "state.db", "instance.key"])
def test_what_belongs_to_another_user_is_refused(sqlite_place: Place, name: str) -> None:
    sqlite_place.open().close()
    os.chown(database_file(sqlite_place).parent / name, 12345, -1)
    with pytest.raises(ConfigurationError, match="another user"):
        sqlite_place.open()


def test_a_database_without_its_key_is_refused_and_gets_no_new_one(place: Place) -> None:
    place.open().close()
    place.key_file.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        place.open()
    assert not place.key_file.exists()


def test_the_key_of_another_database_is_refused(place: Place) -> None:
    place.open().close()
    place.key_file.write_bytes(bytes(32))
    with pytest.raises(IntegrityError, match="does not belong"):
        place.open()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(place: Place, size: int) -> None:
    place.open().close()
    place.key_file.write_bytes(bytes(size))
    with pytest.raises((IntegrityError, ConfigurationError), match="key"):
        place.open()


def test_a_start_that_was_interrupted_after_the_key_is_started_again(place: Place) -> None:
    place.key_file.parent.mkdir(mode=0o700, exist_ok=True)
    place.key_file.write_bytes(b"k" * 32)
    place.key_file.chmod(0o600)
    place.open().close()
    assert place.key_file.read_bytes() == b"k" * 32


def test_a_file_that_cannot_be_made_is_a_configuration_error(sqlite_place: Place) -> None:
    too_long = "x" * 300
    with pytest.raises(ConfigurationError, match=r"database .* cannot be created"):
        replace(sqlite_place, url=f"{sqlite_place.url}{too_long}").open()
    without_key = replace(sqlite_place, key_file=sqlite_place.key_file.with_name(too_long))
    with pytest.raises(ConfigurationError, match=r"instance key .* cannot be written"):
        without_key.open()
    sqlite_place.open().close()
    with pytest.raises(ConfigurationError, match=r"instance key .* cannot be read"):
        without_key.open()


def test_a_new_database_that_another_process_keeps_locked_is_a_conflict(sqlite_place: Place) -> None:
    database_file(sqlite_place).parent.mkdir(mode=0o700)
    database_file(sqlite_place).touch(mode=0o600)
    with sqlite_place.raw() as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Conflict, match="locked") as caught:
            sqlite_place.open(timeout=0.05)
        assert caught.value.retryable
        other.execute("ROLLBACK")
        sqlite_place.open().close()


def test_an_sqlite_that_is_too_old_is_refused(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 39, 4))
    with pytest.raises(ConfigurationError, match="too old"):
        sqlite_place.open()
    assert not database_file(sqlite_place).exists()


def test_a_newer_schema_is_refused_and_left_as_it_is(place: Place) -> None:
    place.open().close()
    with place.raw() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="9999"):
        place.open()
    with place.raw() as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_database_of_something_else_is_refused(sqlite_place: Place) -> None:
    database_file(sqlite_place).parent.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(database_file(sqlite_place))) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    database_file(sqlite_place).chmod(0o600)
    with pytest.raises(ConfigurationError, match="not a database of Keyclave"):
        sqlite_place.open()


def test_a_file_that_is_no_database_is_refused(sqlite_place: Place) -> None:
    database_file(sqlite_place).parent.mkdir(mode=0o700)
    database_file(sqlite_place).write_bytes(b"a song" * 1000)
    database_file(sqlite_place).chmod(0o600)
    with pytest.raises(IntegrityError, match="damaged"):
        sqlite_place.open()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not a url",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:x?uri=true",
        "sqlite:///x.db?timeout=1",
        "sqlite://host/x.db",
        "mysql://host/x",
        "postgresql://user@[::1/x",
        "postgresql+pg8000://host/x",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="url"):
        Store.open(url, key_file=tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_the_pragmas_are_in_force_on_every_connection(sqlite_place: Place) -> None:
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "secure_delete": 1,
        "busy_timeout": 1500,
    }
    with contextlib.closing(sqlite_place.open(timeout=1.5)) as store, store.write(), store.read():
        writer, reader = sorted(store.connections(), key=lambda c: _pragma(c, "query_only"))
        for connection in (writer, reader):
            assert {name: _pragma(connection, name) for name in expected} == expected
        assert (_pragma(writer, "query_only"), _pragma(reader, "query_only")) == (0, 1)


def _pragma(connection: object, name: str) -> int | str:
    assert isinstance(connection, sqlite3.Connection)
    value: int | str = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def test_a_pragma_that_does_not_take_effect_is_refused(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_place.open().close()
    # SQLite ignores a change of this one once there are tables.
    monkeypatch.setitem(sqlite_module._PRAGMAS, "auto_vacuum", 1)
    with pytest.raises(ConfigurationError, match="auto_vacuum is 0 and not 1"):
        sqlite_place.open()


def test_a_closed_store_refuses(place: Place) -> None:
    store = place.open()
    store.close()
    store.close()
    for begin in (store.read, store.write):
        with pytest.raises(StateUnavailable, match="closed") as caught, begin():
            pass
        assert not caught.value.retryable
        assert "keyclave.open" in caught.value.next_step


def test_alembic_is_imported_only_to_upgrade(sqlite_place: Place) -> None:
    program = (
        "import sys; from pathlib import Path; from keyclave.state.store import Store\n"
        "Store.open(sys.argv[1], key_file=Path(sys.argv[2])).close()\n"
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", program, sqlite_place.url, str(sqlite_place.key_file)]
    outputs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() for _ in "12"]
    assert outputs == ["True", "False"]
