"""Statements over whole tables, and their compilation: done once for each database.

SQLAlchemy writes the SQL; its connections and results would cost as much again as a small transaction itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import Executable, Select
from sqlalchemy.sql.elements import ClauseElement

__all__ = ["Compiled", "Compiler", "SealedTable"]


class Compiled(NamedTuple):
    """A statement in one dialect.

    Attributes:
        sql: its text.
        names: the names of its parameters, in the order of their places.
    """

    sql: str
    names: tuple[str, ...]


class Compiler(dict[Executable, Compiled]):
    """Statements in one dialect, each compiled when it is first looked up."""

    __slots__ = ("_dialect",)

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect

    def __missing__(self, statement: Executable) -> Compiled:
        assert isinstance(statement, ClauseElement)  # noqa: S101  every statement is; the type does not say so
        compiled: Any = statement.compile(dialect=self._dialect)
        self[statement] = made = Compiled(str(compiled), tuple(compiled.positiontup or ()))
        return made


class SealedTable:
    """A table whose rows carry a MAC, and the statements over whole rows of it.

    Args:
        table: the table.
        key: the columns of its primary key.
    """

    __slots__ = ("columns", "insertion", "key", "name", "selection", "table", "updating")

    def __init__(self, table: Table, *key: str) -> None:
        self.table = table
        self.key = key
        self.name = str(table.name)
        self.columns = tuple(sorted(str(column.name) for column in table.c if column.name != "mac"))
        self.selection: Select[Any] = select(*(table.c[column] for column in self.columns), table.c.mac)
        self.insertion = insert(table)
        self.updating = (
            update(table)
            .values({column: bindparam(column) for column in (*self.columns, "mac") if column not in key})
            .where(*(table.c[column] == bindparam(f"the_{column}") for column in key))
        )

    def where(self, *columns: str) -> Select[Any]:
        """Return the selection of the rows with given values of these columns, as parameters ``the_<column>``."""
        return self.selection.where(*(self.table.c[column] == bindparam(f"the_{column}") for column in columns))
