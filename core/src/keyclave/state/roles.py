"""What the role of an application may do in PostgreSQL: all that Keyclave needs, and nothing to the audit log's past.

The owner of the tables could take their rules away. So an application works with another role, which may add records
and neither change nor remove one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from pydantic import SecretStr
from sqlalchemy import Table

from keyclave.errors import ConfigurationError
from keyclave.state.databases import database_at
from keyclave.state.dbapi import Cursor, Database
from keyclave.state.schema import METADATA, OPERATIONS

__all__ = ["grant", "may_rewrite_log", "missing_rights"]

T = TypeVar("T")

_TIMEOUT = 60.0
_TABLES = METADATA.sorted_tables
_NEEDED = {"INSERT": _TABLES, "UPDATE": [table for table in _TABLES if table is not OPERATIONS]}
_OWNS = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'operations'::regclass"
# What a role may do counts as what each role may do that it belongs to: SET ROLE gets that where it is not inherited.
# The owner of a schema may drop what is in it.
_CAN_REWRITE = """
SELECT bool_or(
    has_table_privilege(taken.oid, relation.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
    OR has_any_column_privilege(taken.oid, relation.oid, 'UPDATE')
    OR taken.oid IN (relation.relowner, namespace.nspowner)
)
FROM pg_class AS relation
JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
JOIN pg_roles AS grantee ON grantee.rolname = {role}
JOIN pg_roles AS taken ON pg_has_role(grantee.oid, taken.oid, 'MEMBER')
WHERE relation.oid = 'operations'::regclass
"""
_USER_CAN_REWRITE = _CAN_REWRITE.format(role="current_user")
_ROLE_CAN_REWRITE = _CAN_REWRITE.format(role="%s")
_HAS_RIGHT = "SELECT has_table_privilege(%s::regclass, %s)"
_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = %s"


def grant(url: SecretStr | str, role: str) -> None:
    """Let a role use the tables, and take from it whatever it could do besides.

    Args:
        url: the database, as the owner of the tables.
        role: a role that is there.

    Raises:
        ConfigurationError: it is no database of a server, its user does not own the tables, there is no such role,
            or the role can change records all the same: as a superuser, as the owner of the tables, or by another
            role that it belongs to.
        StateUnavailable: the database failed.
    """
    _on_server(url, partial(_grant, role=role))


def may_rewrite_log(url: SecretStr | str) -> bool:
    """Return whether the user of a URL could change or remove records of the audit log, or the rules against that.

    Raises:
        ConfigurationError: it is no database of a server.
        StateUnavailable: the database failed.
    """
    return _on_server(url, lambda _, cursor: bool(_value(cursor, _USER_CAN_REWRITE)))


def missing_rights(url: SecretStr | str) -> tuple[str, ...]:
    """Return what the user of a URL may not do to the tables, of what Keyclave needs, as ``INSERT on keys``.

    Raises:
        ConfigurationError: it is no database of a server.
        StateUnavailable: the database failed.
    """

    def ask(_: Database, cursor: Cursor) -> tuple[str, ...]:
        needed = [(right, table.name) for right, tables in _NEEDED.items() for table in tables]
        return tuple(f"{right} on {name}" for right, name in needed if not _value(cursor, _HAS_RIGHT, name, right))

    return _on_server(url, ask)


def _on_server(url: SecretStr | str, work: Callable[[Database, Cursor], T]) -> T:
    database = database_at(url, _TIMEOUT)
    if database.dialect.name != "postgresql":
        raise ConfigurationError(f"{database.place()} has no roles: it is a file")
    try:
        with closing(database.connect()) as connection:
            return work(database, connection.cursor())
    except database.error as error:
        failure = database.explain(error)
    raise failure


def _grant(database: Database, cursor: Cursor, *, role: str) -> None:
    if not _value(cursor, _OWNS):
        raise ConfigurationError(
            f"the user of {database.place()} does not own the tables",
            next_step="Name the user in [state] url that `keyclave state upgrade` was run as.",
        )
    if not _value(cursor, _ROLE, role):
        raise ConfigurationError(f"there is no role {role!r}", next_step="Make it with CREATE ROLE ... LOGIN.")
    quote = database.dialect.identifier_preparer.quote_identifier
    cursor.execute("BEGIN")
    for statement in _statements(quote(_value(cursor, "SELECT current_schema()")), quote(role)):
        cursor.execute(statement)
    cursor.execute("COMMIT")
    if _value(cursor, _ROLE_CAN_REWRITE, role):
        raise ConfigurationError(
            f"role {role!r} can change the audit log all the same",
            next_step="Take a role that is no superuser, owns neither table nor schema, and belongs to no role that"
            " does; and let PUBLIC change nothing in the table operations.",
        )


def _value(cursor: Cursor, query: str, *parameters: str) -> Any:
    row = cursor.execute(query, parameters).fetchone()
    return row and row[0]


def _statements(schema: str, role: str) -> Iterator[str]:
    every = f"ALL TABLES IN SCHEMA {schema}"
    yield f"REVOKE ALL ON {every} FROM {role}"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
    yield f"GRANT SELECT ON {every} TO {role}"
    for right, tables in _NEEDED.items():
        yield f"GRANT {right} ON {_names(tables)} TO {role}"


def _names(tables: Iterable[Table]) -> str:
    return ", ".join(str(table.name) for table in tables)
