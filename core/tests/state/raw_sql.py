"""Raw SQL that both databases take, to go round the Python code."""

from __future__ import annotations

from typing import Any

from keyclave.state.migrations.initial.tables import METADATA

__all__ = ["HEX", "NEXT", "RAISE", "Case", "change", "copy", "error_of", "new_version"]

Case = tuple[str, tuple[str, ...]]
"""A rule, and statements of which the last must be refused for it, and no other."""

HEX = "'00000000000000000000000000000000'"
RAISE = "UPDATE instance SET epoch = epoch + 1"
NEXT = "(SELECT epoch FROM instance)"


def change(table: str, assignment: str, where: str = "1 = 1") -> tuple[str, ...]:
    """Change a key or version as the epoch demands it."""
    return RAISE, f"UPDATE {table} SET {assignment}, epoch = {NEXT} WHERE {where}"


def copy(table: str, **changes: str) -> str:
    """Insert a copy of the first row of a table, with some columns changed."""
    columns = _columns(table)
    values = [changes.get(column, column) for column in columns]
    first = "version" if table == "key_versions" else columns[0]
    source = f"(SELECT * FROM {table} ORDER BY {first} LIMIT 1) AS first_row"
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {source}"


def _columns(table: str) -> list[str]:
    """Return the columns of a table that are not NULL in every row; those of the first schema, but for the chains."""
    columns = [column.name for column in METADATA.tables[table].columns]
    if table == "audit_head":
        return ["chain" if column == "singleton" else column for column in columns]
    return [*columns, "chain"] if table == "operations" else columns


def new_version(**changes: str) -> tuple[str, ...]:
    """Add version 3, PENDING."""
    return RAISE, copy("key_versions", **{"version": "3", "status": "'PENDING'", "epoch": NEXT, **changes})


def error_of(connection: Any, statements: tuple[str, ...]) -> str | None:
    """Run statements, and return what the last one was refused with; ``None`` if it was not."""
    *before, last = statements
    for statement in before:
        connection.execute(statement)
    try:
        connection.execute(last)
    except Exception as error:
        return str(error)
    return None
