"""What the state needs of a database: the Python DB-API (PEP 249), and what each kind does in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Table
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import Executable

from keyclave.errors import KeyclaveError

__all__ = ["LOCKED", "Connection", "Cursor", "Database"]

LOCKED = "Repeat the call. If it happens again, find the process that keeps the database locked: it may hang."
"""What to do next when another process keeps a lock for too long."""


class Cursor(Protocol):
    """A cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Run a statement."""

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> Any:
        """Run a statement for each set of parameters."""

    def fetchone(self) -> Any:
        """Return the next row, or ``None``."""

    def fetchall(self) -> list[Any]:
        """Return the rows that remain."""

    def close(self) -> None:
        """Make the cursor unusable."""


class Connection(Protocol):
    """A connection that begins and ends transactions by the statements that it is given, and no others."""

    def cursor(self) -> Any:
        """Return a new cursor."""

    def close(self) -> None:
        """Close the connection; what was not committed is undone."""


class Database(Protocol):
    """One kind of database at one place.

    Attributes:
        dialect: SQLAlchemy's, with a positional parameter style.
        error: what its driver raises.
        begin_write: the statements that begin a transaction which is the only one that writes.
        begin_append: those that begin one which appends to the audit log, while none that begin_write begins goes on.
        begin_lease: the statements that begin a transaction which changes leases only, and waits for no other writer
            where the database allows that.
        begin_read: the statements that begin a transaction which sees one moment and changes nothing.
        chain_claim: the query by which a connection takes a chain of the audit log until its end, unless another one
            has it; ``None`` where there is one chain for all.
        upgrades_itself: whether the schema is upgraded when the database is opened.
    """

    dialect: Dialect
    error: tuple[type[Exception], ...]
    begin_write: tuple[str, ...]
    begin_append: tuple[str, ...]
    begin_lease: tuple[str, ...]
    begin_read: tuple[str, ...]
    chain_claim: Executable | None
    upgrades_itself: bool

    def prepare(self) -> None:
        """Make the place ready, and refuse an unsafe one with ``ConfigurationError``."""

    def verifies_server(self) -> bool:
        """Return whether what is sent stays on this machine, or goes to a server that has proved which one it is."""

    def connect(self, *, read_only: bool = False) -> Connection:
        """Return a connection whose effective settings were checked.

        Raises:
            ConfigurationError: a setting that durability or safety rests on is not in force.
        """

    def insert_all(self, cursor: Cursor, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, whose values are in the order of the table's columns, as fast as this database can."""

    def commit(self, cursor: Cursor) -> None:
        """End the transaction, and return when it is durable; raise an error of the driver if it is not known to be.

        Raises:
            StateUnavailable: the database undid the transaction.
        """

    def settle(self, connection: Connection) -> None:
        """Let the connection see only what is durable, after a commit of which the outcome is not known.

        A failed write may have left it in a cache only, and a lost COMMIT may still be under way.

        Raises:
            KeyclaveError: it could not be done.
        """

    def revision(self, cursor: Cursor) -> str | None:
        """Return the revision of the schema; ``None`` if the database is empty.

        Raises:
            ConfigurationError: there are tables, but they are not Keyclave's.
        """

    def lock_for_upgrade(self) -> str:
        """Return the statement that begins a transaction in which only one process upgrades."""

    def explain(self, error: Exception) -> KeyclaveError:
        """Return what an error of the driver means: `Conflict`, `IntegrityError` or `StateUnavailable`."""

    def place(self) -> str:
        """Return where the database is, without secrets."""
