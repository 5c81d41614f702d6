"""A version may be under validation, and may have another algorithm than the key; the clock has a witness.

A version of Keyclave that knows neither must not take part: it would not let both versions sign, and would take a
key for one of another algorithm.
"""

import sqlalchemy as sa
from alembic import op
from keyclave.state.migrations.guards import Guard, render

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_GUARDS = (
    *(
        Guard(
            "key_versions",
            event,
            f"validation_{event.lower()}",
            "NEW.validation_ends_at IS NOT NULL AND NEW.status <> 'PENDING'",
            "only a PENDING version is under validation",
        )
        for event in ("INSERT", "UPDATE")
    ),
    Guard(
        "key_versions",
        "UPDATE",
        "own_algorithm",
        "NEW.own_algorithm IS DISTINCT FROM OLD.own_algorithm",
        "the algorithm of a version never changes",
    ),
    Guard("clock", "DELETE", "kept", "TRUE", "no row of clock is deleted"),
)


def upgrade() -> None:
    """Add the columns, which are NULL in every row that is there, and their rules."""
    op.add_column("key_versions", sa.Column("validation_ends_at", _INTEGER))
    op.add_column("key_versions", sa.Column("own_algorithm", sa.Text))
    op.create_table(
        "clock",
        sa.Column("singleton", _INTEGER, primary_key=True, autoincrement=False),
        sa.Column("witnessed_at", _INTEGER, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("singleton = 1", name="is_only_row"),
        sa.CheckConstraint("length(mac) = 32", name="mac_is_sha256"),
        sqlite_strict=True,
    )
    for guard in _GUARDS:
        for statement in render(guard, op.get_bind().dialect.name):
            op.execute(statement)
