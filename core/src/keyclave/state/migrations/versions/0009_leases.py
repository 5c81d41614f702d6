"""Who works on what is a lease: a row that is taken, renewed and over by the clock of the database.

Its fencing number only rises, and no two holders have the same one, whatever a client believes.
"""

import sqlalchemy as sa
from alembic import op
from keyclave.state.migrations.guards import Guard, render

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_THERE = "EXISTS (SELECT 1 FROM leases WHERE resource = NEW.resource)"
_GUARDS = (
    Guard("leases", "INSERT", "new", _THERE, "such a row of leases exists"),
    Guard("leases", "UPDATE", "immutable", "NEW.resource <> OLD.resource", "resource of leases never changes"),
    Guard("leases", "UPDATE", "fencing_ratchet", "NEW.fencing < OLD.fencing", "fencing of leases never falls"),
    Guard(
        "leases",
        "UPDATE",
        "fenced",
        "NEW.holder <> OLD.holder AND NEW.fencing = OLD.fencing",
        "another holder of a lease has another fencing number",
    ),
    Guard("leases", "DELETE", "kept", "TRUE", "no row of leases is deleted"),
)


def upgrade() -> None:
    """Add the table and its rules."""
    op.create_table(
        "leases",
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("fencing", _INTEGER, nullable=False),
        sa.Column("expires_at", _INTEGER, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("fencing > 0", name="fencing_is_positive"),
        sa.CheckConstraint("length(mac) = 32", name="mac_is_sha256"),
        sqlite_strict=True,
    )
    for guard in _GUARDS:
        for statement in render(guard, op.get_bind().dialect.name):
            op.execute(statement)
