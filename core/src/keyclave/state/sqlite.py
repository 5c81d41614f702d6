"""SQLite: one file, write-ahead log, every commit flushed to the disk."""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.dialects.sqlite.pysqlite import dialect
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import Executable

from keyclave.errors import ConfigurationError, Conflict, IntegrityError, KeyclaveError, StateUnavailable
from keyclave.state.dbapi import LOCKED, Connection, Cursor
from keyclave.state.location import file_identity, prepare_file
from keyclave.state.migrations.guards import PREFIX

__all__ = ["SqliteDatabase"]

_OLDEST = (3, 40, 0)
_DIALECT: Dialect = dialect()
_PRAGMAS: dict[str, int | str] = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit returns when it is on the disk
    "fullfsync": 1,  # macOS: past the cache of the disk
    "foreign_keys": 1,
    "recursive_triggers": 1,  # REPLACE asks the DELETE triggers
    "trusted_schema": 0,
    "cell_size_check": 1,
    "secure_delete": 1,
}
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_CAUSES = {
    "SQLITE_FULL": "the disk is full (SQLITE_FULL)",
    "SQLITE_IOERR_SHMSIZE": "a file beside it cannot grow, as on a full disk (SQLITE_IOERR_SHMSIZE)",
    "SQLITE_IOERR_WRITE": "it cannot be written, as on a full disk (SQLITE_IOERR_WRITE)",
    "SQLITE_CANTOPEN": "it or a file beside it cannot be opened to be written (SQLITE_CANTOPEN)",
    "SQLITE_READONLY": "it cannot be written (SQLITE_READONLY)",
}
_PAUSE = 0.01


class SqliteDatabase:
    """An SQLite database; see `keyclave.state.dbapi.Database`.

    Args:
        path: the file, absolute.
        timeout: seconds to wait for a lock.
    """

    dialect: Dialect = _DIALECT
    # A damaged text is neither decoded in a value nor in the message of an error.
    error: tuple[type[Exception], ...] = (sqlite3.Error, UnicodeDecodeError)
    begin_write: tuple[str, ...] = ("BEGIN IMMEDIATE",)
    begin_append: tuple[str, ...] = begin_write
    begin_lease: tuple[str, ...] = begin_write
    begin_read: tuple[str, ...] = ("BEGIN",)
    chain_claim: Executable | None = None
    upgrades_itself = True

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self._timeout = timeout
        self._file: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Create the file, or check it."""
        if sqlite3.sqlite_version_info < _OLDEST:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old: 3.40 or later is needed")
        prepare_file(self.path)
        self._file = file_identity(self.path)

    def verifies_server(self) -> bool:
        """Return that the file is of this machine."""
        return True

    def connect(self, *, read_only: bool = False) -> Connection:
        """Return a connection with its pragmas in force."""
        self._require_in_place()
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._configure(connection, read_only=read_only)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, connection: sqlite3.Connection, *, read_only: bool) -> None:
        wanted = {"busy_timeout": round(self._timeout * 1000), **_PRAGMAS}
        if read_only:
            wanted["query_only"] = 1
        for name, value in wanted.items():
            self._set(connection, name, value)
            (effective,) = connection.execute(f"PRAGMA {name}").fetchone()
            if effective != value:
                raise ConfigurationError(f"{self.path}: SQLite's {name} is {effective!r} and not {value!r}")

    def _set(self, connection: sqlite3.Connection, name: str, value: int | str) -> None:
        """Set a pragma; SQLite does not itself wait for the lock that a change of the journal mode needs."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute(f"PRAGMA {name} = {value}").fetchall()
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def insert_all(self, cursor: Cursor, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert each row: a statement is no round trip."""
        cursor.executemany(_insertion(table), rows)

    def commit(self, cursor: Cursor) -> None:
        """Commit, unless the file that was opened is no longer the one of that name: its content will be lost."""
        self._require_in_place()
        cursor.execute("COMMIT")

    def _require_in_place(self) -> None:
        if file_identity(self.path) != self._file:
            raise StateUnavailable(
                f"the database {self.path} was deleted or replaced while it was open",
                retryable=False,
                next_step="Close Keyclave, put the right file there, and open Keyclave again.",
            )

    def settle(self, connection: Connection) -> None:
        """Copy the write-ahead log into the database file, and flush that."""
        busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Conflict("another process reads the database while its log must be written again")

    def revision(self, cursor: Cursor) -> str | None:
        """Return what alembic noted."""
        tables = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" in tables:
            row = cursor.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else None
        if tables:
            raise ConfigurationError(f"{self.path} is not a database of Keyclave")
        return None

    def lock_for_upgrade(self) -> str:
        """Return the statement that begins a writing transaction."""
        return self.begin_write[0]

    def explain(self, error: Exception) -> KeyclaveError:
        """Return what an error of `sqlite3` means."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            return Conflict(f"the database {self.path} was locked for too long", next_step=LOCKED)
        if code in _CORRUPT or isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
            return IntegrityError(f"the database {self.path} is damaged")
        if isinstance(error, sqlite3.IntegrityError):
            return Conflict(f"the database refused a change: {str(error).removeprefix(PREFIX)}", retryable=False)
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        return StateUnavailable(f"the database {self.path} failed: {_CAUSES.get(name, name)}")

    def place(self) -> str:
        """Return the file's name."""
        return str(self.path)


@functools.cache
def _insertion(table: Table) -> str:
    return str(insert(table).compile(dialect=_DIALECT))


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF in _BUSY
