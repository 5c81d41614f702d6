"""A version in an HSM may be one that can be released, wrapped: that is no export (FR-003).

A version of Keyclave that does not know that must not take part: it would take such a row for a broken one.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_RULE = "CONSTRAINT hsm_is_not_exportable CHECK (hsm_backed = 0 OR exportable = 0), "


def upgrade() -> None:
    """Take a rule of the table away."""
    if op.get_bind().dialect.name == "sqlite":
        _remove_from_sqlite()
    else:
        op.drop_constraint("hsm_is_not_exportable", "key_versions", type_="check")


def _remove_from_sqlite() -> None:
    """Take it out of the text that SQLite keeps, as it documents for a CHECK (lang_altertable.html, 7).

    To make the table anew copies every row, and needs every trigger that mentions the table again.
    """
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, '') WHERE name = 'key_versions' AND instr(sql, ?) > 0",
        (_RULE, _RULE),
    )
    assert changed.rowcount == 1  # noqa: S101  revision 0001 wrote it like that
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
