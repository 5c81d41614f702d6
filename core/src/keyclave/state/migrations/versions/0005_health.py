"""How each backend is has a row of its own, which the processes of a fleet share.

A backend that was never opened has no row in ``backends``, but is checked, and at most once a minute.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "backend_health",
        sa.Column("backend_id", sa.Text, primary_key=True),
        sa.Column("availability_status", sa.Text, nullable=False),
        sa.Column("last_health_check", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint(
            "availability_status IN ('AVAILABLE', 'DEGRADED', 'UNAVAILABLE')", name="availability_is_known"
        ),
        sa.CheckConstraint("length(mac) = 32", name="mac_is_sha256"),
        sqlite_strict=True,
    )
