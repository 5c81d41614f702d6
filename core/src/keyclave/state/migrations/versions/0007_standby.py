"""A version may be STANDBY, one of each key, and each backend has a row that says since when standbys sign for it.

A version of Keyclave that knows no standby must not take part: it would not renew one, and would not know that its
signatures are good.
"""

import sqlalchemy as sa
from alembic import op
from keyclave.state.migrations.guards import Guard, render
from keyclave.state.migrations.initial.rules import EDGES, kept, new

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WERE = "status IN ('ACTIVE', 'PENDING', 'DEPRECATED', 'REVOKED')"
_ARE = "status IN ('ACTIVE', 'PENDING', 'STANDBY', 'DEPRECATED', 'REVOKED')"
_IS_STANDBY = "status = 'STANDBY'"
_EDGES = f"{EDGES}, 'STANDBY>DEPRECATED', 'STANDBY>REVOKED'"
_REVERTED = (  # as in revision 0006
    "SELECT 1 FROM intents"
    " WHERE kind = 'revert' AND outcome IS NULL AND key_id = NEW.key_id AND from_version = NEW.version"
)
_REPLACED = (
    Guard(
        "key_versions",
        "INSERT",
        "first_status",
        "NEW.status NOT IN ('PENDING', 'ACTIVE', 'STANDBY')",
        "a new version is PENDING, ACTIVE or STANDBY",
    ),
    Guard(
        "key_versions",
        "UPDATE",
        "status_edge",
        f"NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN ({_EDGES})"
        f" AND NOT (OLD.status = 'DEPRECATED' AND NEW.status = 'ACTIVE' AND EXISTS ({_REVERTED}))",
        "the status cannot change like that",
    ),
)
_NEW = (
    *(
        Guard(
            "key_versions",
            event,
            f"one_standby_{event.lower()}",
            f"NEW.{_IS_STANDBY} AND EXISTS (SELECT 1 FROM key_versions"  # noqa: S608  ours
            f" WHERE key_id = NEW.key_id AND {_IS_STANDBY} AND version <> NEW.version)",
            "a key has one STANDBY version",
        )
        for event in ("INSERT", "UPDATE")
    ),
    new("fallbacks", "backend_id"),
    Guard(
        "fallbacks",
        "UPDATE",
        "begins_after_its_end",
        "NEW.backend_id <> OLD.backend_id OR NEW.begun_at < OLD.begun_at"
        " OR (OLD.ended_at IS NULL AND NEW.begun_at <> OLD.begun_at)",
        "a fallback begins anew after its end only",
    ),
    kept("fallbacks"),
)


def upgrade() -> None:
    """Change the rule of the column and those of the versions, and add the table."""
    dialect = op.get_bind().dialect.name
    if dialect == "sqlite":
        _change_check_of_sqlite()
    else:
        op.drop_constraint("status_is_known", "key_versions", type_="check")
        op.create_check_constraint("status_is_known", "key_versions", _ARE)
    op.create_index(
        "one_standby_version",
        "key_versions",
        ["key_id"],
        unique=True,
        sqlite_where=sa.text(_IS_STANDBY),
        postgresql_where=sa.text(_IS_STANDBY),
    )
    op.create_table(
        "fallbacks",
        sa.Column("backend_id", sa.Text, primary_key=True),
        sa.Column("begun_at", _INTEGER, nullable=False),
        sa.Column("ended_at", _INTEGER),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("ended_at >= begun_at", name="ended_after_it_began"),
        sa.CheckConstraint("length(mac) = 32", name="mac_is_sha256"),
        sqlite_strict=True,
    )
    for guard in _REPLACED:
        name = f"{guard.table}_{guard.name}"
        op.execute(f"DROP TRIGGER {name}" if dialect == "sqlite" else f"DROP FUNCTION {name}() CASCADE")
    for guard in (*_REPLACED, *_NEW):
        for statement in render(guard, dialect):
            op.execute(statement)


def _change_check_of_sqlite() -> None:
    """Change the text of the rule where SQLite keeps it, as it documents for a CHECK (lang_altertable.html, 7).

    To make the table anew, as alembic would, copies every row and needs every trigger that mentions the table again.
    """
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'key_versions' AND instr(sql, ?) > 0",
        (_WERE, _ARE, _WERE),
    )
    assert changed.rowcount == 1  # noqa: S101  revision 0001 wrote it like that
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
