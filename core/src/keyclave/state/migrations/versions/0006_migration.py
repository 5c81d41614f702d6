"""Migrations have plans and approvals; their intents let a version be active again, or a key require less.

A version of Keyclave that knows no such intents must not take part: it could not finish what was interrupted.
"""

import sqlalchemy as sa
from alembic import op
from keyclave.state.migrations.guards import Guard, render
from keyclave.state.migrations.initial.rules import EDGES, changed, immutable, kept, new
from keyclave.state.migrations.initial.tables import METADATA

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KINDS = "kind IN ('create', 'adopt', 'rotate', 'revoke', 'destroy', 'cancel', 'migrate', 'revert', 'retire')"
_REVERTED = (
    "SELECT 1 FROM intents"
    " WHERE kind = 'revert' AND outcome IS NULL AND key_id = NEW.key_id AND from_version = NEW.version"
)
_MIGRATED = "SELECT 1 FROM intents WHERE kind IN ('migrate', 'revert') AND outcome IS NULL AND key_id = NEW.key_id"
_PLAN = "SELECT 1 FROM migration_plans WHERE plan_id = NEW.plan_id"
_USED = "SELECT 1 FROM migration_approvals WHERE plan_id = NEW.plan_id AND consumed_at IS NOT NULL"
_EDGE = Guard(
    "key_versions",
    "UPDATE",
    "status_edge",
    f"NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN ({EDGES})"
    f" AND NOT (OLD.status = 'DEPRECATED' AND NEW.status = 'ACTIVE' AND EXISTS ({_REVERTED}))",
    "the status cannot change like that",
)
_KEY = immutable("keys", "key_id", "name", "algorithm", "created_at")
_LEVEL = Guard(
    "keys",
    "UPDATE",
    "level",
    f"{changed('required_security_level')} AND NOT EXISTS ({_MIGRATED})",
    "the level that a key requires changes in a migration only",
)
_GUARDS = (
    _EDGE,
    _KEY,
    _LEVEL,
    new("migration_plans", "plan_id"),
    Guard("migration_plans", "UPDATE", "immutable", "TRUE", "no plan is changed"),
    kept("migration_plans"),
    new("migration_approvals", "approval_id"),
    Guard(
        "migration_approvals",
        "INSERT",
        "of_this_plan",
        f"NEW.consumed_at IS NOT NULL OR NOT EXISTS ({_PLAN} AND plan_hash = NEW.plan_hash)",
        "an approval is of a plan that is there, by its hash",
    ),
    Guard(
        "migration_approvals",
        "INSERT",
        "by_another",
        f"EXISTS ({_PLAN} AND requested_by = NEW.approved_by)",
        "a plan is approved by another than its requester",
    ),
    immutable(
        "migration_approvals", "approval_id", "plan_id", "plan_hash", "approved_by", "approved_at", "expires_at"
    ),
    Guard(
        "migration_approvals",
        "UPDATE",
        "used_once",
        f"OLD.consumed_at IS NOT NULL OR (NEW.consumed_at IS NOT NULL AND EXISTS ({_USED}))",
        "an approval is used once, and so is its plan",
    ),
    kept("migration_approvals"),
    Guard(
        "migrations",
        "INSERT",
        "approved",
        f"NEW.plan_id IS NULL OR NOT EXISTS ({_USED})",
        "a migration needs a plan whose approval was used",
    ),
    Guard(
        "migrations",
        "INSERT",
        "once",
        "EXISTS (SELECT 1 FROM migrations WHERE plan_id = NEW.plan_id AND source_key_id = NEW.source_key_id"
        " AND key_version = NEW.key_version)",
        "a plan has one migration of each version",
    ),
    Guard(
        "migrations",
        "UPDATE",
        "planned",
        changed("plan_id", "key_version"),
        "plan_id, key_version of migrations never change",
    ),
    Guard(
        "migrations",
        "UPDATE",
        "ended",
        "OLD.status IN ('FAILED', 'ROLLED_BACK') AND NEW.status <> OLD.status",
        "a migration that failed or was rolled back has ended",
    ),
)
_REPLACED = (_EDGE, _KEY)


def upgrade() -> None:
    """Add tables and columns, then their rules, and replace those that there were."""
    _add_tables()
    if op.get_bind().dialect.name == "sqlite":
        _allow_kinds_in_sqlite()
    else:
        op.drop_constraint("kind_is_known", "intents", type_="check")
        op.create_check_constraint("kind_is_known", "intents", _KINDS)
    for replaced in _REPLACED:
        _drop(replaced)
    for guard in _GUARDS:
        for statement in render(guard, op.get_bind().dialect.name):
            op.execute(statement)


def _allow_kinds_in_sqlite() -> None:
    """Make the table anew, and with it every trigger that names it: SQLite changes no rule of a column."""
    triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%intents%'"
    there = op.get_bind().exec_driver_sql(triggers).fetchall()
    for name, _ in there:
        op.execute(f"DROP TRIGGER {name}")
    table = METADATA.tables["intents"]
    with op.batch_alter_table("intents", copy_from=table, table_kwargs={"sqlite_strict": True}) as intents:
        intents.drop_constraint("kind_is_known", type_="check")
        intents.create_check_constraint("kind_is_known", _KINDS)
    for _, statement in there:
        op.get_bind().exec_driver_sql(statement)


def _drop(guard: Guard) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER {guard.table}_{guard.name}")
    else:
        op.execute(f"DROP TRIGGER {guard.table}_{guard.name} ON {guard.table}")
        op.execute(f"DROP FUNCTION {guard.table}_{guard.name}()")


def _add_tables() -> None:
    op.create_table(
        "migration_plans",
        sa.Column("plan_id", sa.Text, primary_key=True),
        sa.Column("destination_backend_id", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("created_at", _INTEGER, nullable=False),
        sa.Column("plan_hash", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("length(plan_id) = 32", name="plan_id_is_uuid"),
        sa.CheckConstraint("length(plan_hash) = 64", name="plan_hash_is_sha256"),
        sa.CheckConstraint("length(mac) = 32", name="mac_is_sha256"),
        sqlite_strict=True,
    )
    op.create_table(
        "migration_approvals",
        sa.Column("approval_id", sa.Text, primary_key=True),
        sa.Column("plan_id", sa.Text, sa.ForeignKey("migration_plans.plan_id"), nullable=False),
        sa.Column("plan_hash", sa.Text, nullable=False),
        sa.Column("approved_by", sa.Text, nullable=False),
        sa.Column("approved_at", _INTEGER, nullable=False),
        sa.Column("expires_at", _INTEGER, nullable=False),
        sa.Column("consumed_at", _INTEGER),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("length(approval_id) = 32", name="approval_id_is_uuid"),
        sa.CheckConstraint("expires_at >= approved_at", name="expires_after_approval"),
        sa.CheckConstraint(
            "consumed_at >= approved_at AND consumed_at <= expires_at", name="consumed_before_it_expires"
        ),
        sa.CheckConstraint("length(mac) = 32", name="mac_is_sha256"),
        sqlite_strict=True,
    )
    op.add_column("migrations", sa.Column("plan_id", sa.Text))
    op.add_column("migrations", sa.Column("key_version", _INTEGER))
