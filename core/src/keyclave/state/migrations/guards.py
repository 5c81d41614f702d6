"""Rules that the database itself enforces, written once and rendered as triggers for SQLite and PostgreSQL.

Every refusal is an error whose text is ``keyclave:``, followed by the rule in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PREFIX", "Guard", "render"]

PREFIX = "keyclave: "

_SQLITE = """
CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} WHEN {refuse}
BEGIN SELECT RAISE(ABORT, '{prefix}{message}'); END
"""
_POSTGRESQL_FUNCTION = """
CREATE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF {refuse} THEN
        RAISE EXCEPTION '{prefix}{message}' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $guard$
"""
_POSTGRESQL = "CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_{name}()"
_POSTGRESQL_TRUNCATE = (
    "CREATE TRIGGER {table}_{name}_all BEFORE TRUNCATE ON {table} EXECUTE FUNCTION {table}_{name}()"
)


@dataclass(frozen=True, slots=True)
class Guard:
    """One rule of one table.

    Attributes:
        table: the table.
        event: the statement that it looks at. A refused DELETE must be refused for every row: it stands for
            TRUNCATE as well, which looks at none.
        name: unique among the guards of the table.
        refuse: the SQL condition, over ``NEW`` and ``OLD``, under which a row is refused.
        message: the rule in words.
    """

    table: str
    event: Literal["INSERT", "UPDATE", "DELETE"]
    name: str
    refuse: str
    message: str


def render(guard: Guard, dialect: str) -> tuple[str, ...]:
    """Return the statements that put a guard in force.

    Args:
        guard: the rule.
        dialect: ``sqlite`` or ``postgresql``.
    """
    if dialect == "sqlite":
        templates: tuple[str, ...] = (_SQLITE,)
    elif guard.event == "DELETE":
        templates = (_POSTGRESQL_FUNCTION, _POSTGRESQL, _POSTGRESQL_TRUNCATE)
    else:
        templates = (_POSTGRESQL_FUNCTION, _POSTGRESQL)
    fields = {
        "table": guard.table,
        "event": guard.event,
        "name": guard.name,
        "refuse": guard.refuse,
        "message": guard.message,
    }
    return tuple(template.format(prefix=PREFIX, **fields) for template in templates)
