"""The first schema."""

from alembic import op
from keyclave.state.migrations.guards import render
from keyclave.state.migrations.initial.rules import GUARDS
from keyclave.state.migrations.initial.tables import METADATA

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and put their rules in force. There is no way back: it would delete the audit log."""
    connection = op.get_bind()
    METADATA.create_all(connection, checkfirst=False)
    for guard in GUARDS:
        for statement in render(guard, connection.dialect.name):
            connection.exec_driver_sql(statement)
