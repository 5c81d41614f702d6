"""Intents may be of kind ``cancel``, and while one is open its version may be there again.

A version of Keyclave that knows no such intent must not take part: it could not finish what was interrupted.
"""

from alembic import op
from keyclave.state.migrations.guards import Guard, render
from keyclave.state.migrations.initial.rules import GUARDS
from keyclave.state.migrations.initial.tables import METADATA

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KINDS = "kind IN ('create', 'adopt', 'rotate', 'revoke', 'destroy', 'cancel')"
_DESTROYED = Guard(
    "key_versions",
    "UPDATE",
    "destroyed",
    "OLD.destroyed_at IS NOT NULL AND NEW.destroyed_at IS NULL AND NOT EXISTS (SELECT 1 FROM intents"
    " WHERE kind = 'cancel' AND outcome IS NULL AND key_id = NEW.key_id AND to_version = NEW.version)",
    "a destroyed version stays destroyed, unless its destruction is called off",
)


def upgrade() -> None:
    """Change the rule of the column, then that of the versions. SQLite makes the table anew, and its triggers."""
    dialect = op.get_bind().dialect.name
    table = METADATA.tables["intents"]
    with op.batch_alter_table("intents", copy_from=table, table_kwargs={"sqlite_strict": True}) as intents:
        intents.drop_constraint("kind_is_known", type_="check")
        intents.create_check_constraint("kind_is_known", _KINDS)
    guards = [_DESTROYED]
    if dialect == "sqlite":
        op.execute("DROP TRIGGER key_versions_destroyed")
        guards += [guard for guard in GUARDS if guard.table == "intents"]
    else:
        op.execute("DROP TRIGGER key_versions_destroyed ON key_versions")
        op.execute("DROP FUNCTION key_versions_destroyed()")
    for guard in guards:
        for statement in render(guard, dialect):
            op.execute(statement)
