"""One transaction on its connection: runs statements, seals and checks rows, and says what errors mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.sql import Executable

from keyclave.errors import Conflict, IntegrityError, KeyclaveError, StateUnavailable
from keyclave.state.dbapi import Cursor, Database
from keyclave.state.integrity import RowMac, Value
from keyclave.state.statements import Compiler, SealedTable

__all__ = ["Row", "Session"]

Row = dict[str, Value]
_ENDED = StateUnavailable("the transaction has ended", retryable=False)


class Session:
    """Runs statements in one transaction. After the first that fails it runs no more, and must not be committed.

    Args:
        database: the kind of database.
        cursor: where the transaction was begun.
        compiler: the statements of that database.
        mac: makes and checks the MACs of rows.

    Attributes:
        failure: why it runs no more statements; ``None`` while it does.
        mac: as given.
    """

    __slots__ = ("_abandoned", "_committed", "_compiled", "_cursor", "_database", "failure", "mac")

    def __init__(self, database: Database, cursor: Cursor, compiler: Compiler, mac: RowMac) -> None:
        self._database = database
        self._cursor = cursor
        self._compiled = compiler
        self.mac = mac
        self._abandoned = False
        self._committed = False
        self.failure: KeyclaveError | None = None

    def begin(self, statements: Iterable[str]) -> None:
        """Begin the transaction with these statements."""
        try:
            for statement in statements:
                self._cursor.execute(statement)
        except self._database.error as error:
            self._fail(error)
        else:
            return
        raise self.failure or _ENDED

    def commit(self) -> None:
        """Commit. Whether a transaction whose commit fails is durable is not known, unless it is a `Conflict`."""
        try:
            self._database.commit(self._cursor)
        except self._database.error as error:
            self._fail(error)
        else:
            self._committed = True
            return
        raise self.failure or _ENDED

    def end(self) -> bool:
        """Undo what was not committed, and refuse from now on. Return whether the connection may be used again."""
        if self._abandoned:
            return True
        usable = self._committed or self._roll_back()
        if not usable:
            self._cursor.close()  # a closed connection keeps its locks until its last cursor is closed
        if self.failure is None:
            self.failure = _ENDED
        return usable

    def abandon(self, failure: KeyclaveError) -> None:
        """Run nothing more, not even the end: in a forked child the transaction is its parent's."""
        self.failure = failure
        self._abandoned = True

    def _roll_back(self) -> bool:
        try:
            self._cursor.execute("ROLLBACK")
        except self._database.error:
            return False
        return self.failure is None or isinstance(self.failure, Conflict)

    def change(self, statement: Executable, values: Sequence[Any]) -> int:
        """Run a statement, and return how many rows it changed.

        Like every method here it raises what the database's error means: `Conflict` for a change that it refuses
        or a lock, `IntegrityError` for a damaged database, `StateUnavailable` for any other failure.

        Args:
            statement: what to run.
            values: the parameters, in the order of the statement's places.
        """
        if self.failure is None:
            try:
                self._cursor.execute(self._compiled[statement].sql, values)
            except self._database.error as error:
                self._fail(error)
            else:
                return self._cursor.rowcount
        raise self.failure or _ENDED

    def insert_all(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, whose values are in the order of the table's columns."""
        if self.failure is None:
            try:
                self._database.insert_all(self._cursor, table, rows)
            except self._database.error as error:
                self._fail(error)
            else:
                return
        raise self.failure or _ENDED

    def query(self, statement: Executable, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query, and return its rows as they are."""
        if self.failure is None:
            try:
                self._cursor.execute(self._compiled[statement].sql, values)
                return self._cursor.fetchall()
            except self._database.error as error:
                self._fail(error)
        raise self.failure or _ENDED

    def rows(self, table: SealedTable, query: Executable, **parameters: Value) -> list[Row]:
        """Run a query over whole rows of a table, and return them.

        Raises:
            IntegrityError: a row is not what Keyclave wrote.
        """
        values = [parameters[name] for name in self._compiled[query].names]
        return [self._unsealed(table, found) for found in self.query(query, values)]

    def row(self, table: SealedTable, query: Executable, **parameters: Value) -> Row | None:
        """Run a query over whole rows of a table, and return the first one, or ``None``.

        Raises:
            IntegrityError: it is not what Keyclave wrote.
        """
        values = [parameters[name] for name in self._compiled[query].names]
        found = self.query(query, values)
        return self._unsealed(table, found[0]) if found else None

    def insert(self, table: SealedTable, row: Mapping[str, Value]) -> None:
        """Add a row, all of whose columns but the MAC are given."""
        sealed = self._sealed(table, row)
        self.change(table.insertion, [sealed[name] for name in self._compiled[table.insertion].names])

    def update(self, table: SealedTable, row: Mapping[str, Value]) -> None:
        """Write a row that is there; its primary key says which.

        Raises:
            IntegrityError: the row has gone.
        """
        sealed = self._sealed(table, row)
        sealed.update({f"the_{column}": row[column] for column in table.key})
        if self.change(table.updating, [sealed[name] for name in self._compiled[table.updating].names]) != 1:
            raise IntegrityError(f"a row of table {table.name} is missing")

    def _sealed(self, table: SealedTable, row: Mapping[str, Value]) -> Row:
        ordered = {column: row[column] for column in table.columns}
        return {**ordered, "mac": self.mac.tag(table.name, ordered)}

    def _unsealed(self, table: SealedTable, values: Sequence[Any]) -> Row:
        row = dict(zip(table.columns, values, strict=False))
        self.mac.check(table.name, self.mac.tag(table.name, row), values[-1])
        return row

    def _fail(self, error: Exception) -> None:
        """Note what an error means. It is raised outside the except block, so that the error is not attached."""
        self.failure = self._database.explain(error)
