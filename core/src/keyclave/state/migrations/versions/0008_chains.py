"""The audit log may have several chains, so that the processes of a fleet append to it at the same time.

The chain that there is becomes the first one: no record and no MAC changes. In SQLite, where one process writes at a
time anyway, it stays the only one.

A version of Keyclave that knows one chain must not take part: PostgreSQL refuses its records, and it takes the
instance row for damaged as soon as a key was changed.
"""

import sqlalchemy as sa
from alembic import op
from keyclave.state.migrations.guards import Guard, render

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_HEAD = (
    Guard(
        "audit_head",
        "INSERT",
        "new",
        "NEW.sequence <> 0 OR NEW.chain IS DISTINCT FROM (SELECT COALESCE(MAX(chain), 0) + 1 FROM audit_head)",
        "a new chain is empty, and its number one more than the last",
    ),
    Guard(
        "audit_head",
        "UPDATE",
        "last_record",
        "NEW.chain <> OLD.chain OR NEW.sequence <= OLD.sequence"
        " OR NOT EXISTS (SELECT 1 FROM operations"
        " WHERE chain = NEW.chain AND sequence = NEW.sequence AND hash = NEW.hash)"
        " OR EXISTS (SELECT 1 FROM operations WHERE chain = NEW.chain AND sequence > NEW.sequence)",
        "the head names the last record",
    ),
)
_APPENDED = Guard(
    "operations",
    "INSERT",
    "appended",
    "NOT EXISTS (SELECT 1 FROM audit_head WHERE chain = NEW.chain)"
    " OR NEW.sequence IS DISTINCT FROM"
    " (SELECT COALESCE(MAX(sequence), 0) + 1 FROM operations WHERE chain = NEW.chain)"
    " OR EXISTS (SELECT 1 FROM operations WHERE operation_id = NEW.operation_id)",
    "a record is new and is appended",
)


def upgrade() -> None:
    """Give each record and the head the number of their chain, and the instance a place to seal the chains' ends."""
    op.add_column("instance", sa.Column("chains", sa.Text))
    op.alter_column("audit_head", "singleton", new_column_name="chain")
    if op.get_bind().dialect.name == "sqlite":
        # To make the table of the records anew, with another primary key, could take long.
        op.execute("ALTER TABLE operations ADD COLUMN chain INTEGER NOT NULL DEFAULT 1 CHECK (chain = 1)")
        _replace(*_HEAD)
    else:
        op.drop_constraint("is_only_row", "audit_head")
        op.add_column("operations", sa.Column("chain", sa.BigInteger, nullable=False, server_default="1"))
        op.alter_column("operations", "chain", server_default=None)
        op.drop_constraint("operations_pkey", "operations")
        op.create_primary_key("operations_pkey", "operations", ["chain", "sequence"])
        _replace(*_HEAD, _APPENDED)


def _replace(*guards: Guard) -> None:
    dialect = op.get_bind().dialect.name
    for guard in guards:
        name = f"{guard.table}_{guard.name}"
        if dialect == "sqlite":
            op.execute(f"DROP TRIGGER {name}")
        else:
            op.execute(f"DROP TRIGGER {name} ON {guard.table}")
            op.execute(f"DROP FUNCTION {name}()")
        for statement in render(guard, dialect):
            op.execute(statement)
