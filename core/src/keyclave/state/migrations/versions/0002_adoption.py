"""Intents may be of kind ``adopt``.

A version of Keyclave that knows no such intent must not take part: it would not know that what is undone is
forgotten, not destroyed.
"""

from alembic import op
from keyclave.state.migrations.guards import render
from keyclave.state.migrations.initial.rules import GUARDS
from keyclave.state.migrations.initial.tables import METADATA

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KINDS = "kind IN ('create', 'adopt', 'rotate', 'revoke', 'destroy')"


def upgrade() -> None:
    """Let the rule of the column say so. SQLite cannot change a rule: the table is made anew, and its triggers."""
    dialect = op.get_bind().dialect.name
    table = METADATA.tables["intents"]
    with op.batch_alter_table("intents", copy_from=table, table_kwargs={"sqlite_strict": True}) as intents:
        intents.drop_constraint("kind_is_known", type_="check")
        intents.create_check_constraint("kind_is_known", _KINDS)
    if dialect != "sqlite":
        return
    for guard in GUARDS:
        if guard.table == "intents":
            for statement in render(guard, dialect):
                op.execute(statement)
