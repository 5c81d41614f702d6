"""What the database itself refuses of plans, approvals and migrations (FR-012): every statement here is raw SQL."""

from __future__ import annotations

from typing import Any

import pytest
from keyclave.state.migrations.guards import PREFIX

from core.tests.state.raw_sql import HEX, RAISE, Case, change, error_of

V1, V2 = "version = 1", "version = 2"
LEVEL = change("keys", "required_security_level = 'HSM'")
PLANS = (
    "INSERT INTO migration_plans (plan_id, destination_backend_id, requested_by, created_at, plan_hash, details, mac)"
    " SELECT {id}, destination_backend_id, requested_by, created_at, plan_hash, details, mac FROM migration_plans"
)
APPROVALS = (
    "INSERT INTO migration_approvals (approval_id, plan_id, plan_hash, approved_by, approved_at, expires_at, details,"
    " mac) SELECT {id}, {plan}, {hash}, {by}, approved_at, expires_at, details, mac FROM migration_approvals"
)
MIGRATIONS = (
    "INSERT INTO migrations (migration_id, plan_id, key_version, strategy, source_backend_id, source_provider,"
    " destination_backend_id, destination_provider, migrated_at, source_key_id, status, details, mac)"
    " SELECT {id}, {plan}, {version}, strategy, source_backend_id, source_provider, destination_backend_id,"
    " destination_provider, migrated_at, source_key_id, 'IN_PROGRESS', details, mac FROM migrations"
)


def approval(**changes: str) -> str:
    values = {"id": HEX, "plan": "plan_id", "hash": "plan_hash", "by": "approved_by"} | changes
    return APPROVALS.format(**values)


def migration(**changes: str) -> str:
    return MIGRATIONS.format(**({"id": HEX, "plan": "plan_id", "version": "2"} | changes))


CASES: list[Case] = [
    ("such a row of migration_plans exists", (PLANS.format(id="plan_id"),)),
    ("no plan is changed", ("UPDATE migration_plans SET plan_hash = plan_hash",)),
    ("no row of migration_plans is deleted", ("DELETE FROM migration_plans",)),
    ("such a row of migration_approvals exists", (approval(id="approval_id"),)),
    ("an approval is of a plan that is there", (approval(plan=HEX),)),
    ("an approval is of a plan that is there", (approval(hash=HEX + " || " + HEX),)),
    ("approved by another than its requester", (approval(by="'tester'"),)),
    *(
        ("of migration_approvals never change", (approval(), f"UPDATE migration_approvals SET {change_}"))
        for change_ in (
            f"approval_id = '1{HEX[2:]} WHERE approval_id = {HEX}",
            "approved_by = 'other' WHERE consumed_at IS NULL",
            "approved_at = approved_at - 1 WHERE consumed_at IS NULL",
            "expires_at = expires_at + 1 WHERE consumed_at IS NULL",
        )
    ),
    ("an approval is used once", ("UPDATE migration_approvals SET consumed_at = consumed_at + 1",)),
    ("an approval is used once", ("UPDATE migration_approvals SET consumed_at = NULL",)),
    (
        "an approval is used once, and so is its plan",
        (approval(), "UPDATE migration_approvals SET consumed_at = approved_at WHERE consumed_at IS NULL"),
    ),
    ("no row of migration_approvals is deleted", ("DELETE FROM migration_approvals",)),
    ("such a row of migrations exists", (migration(id="migration_id"),)),
    ("a migration needs a plan whose approval was used", (migration(plan="NULL"),)),
    ("a migration needs a plan whose approval was used", (migration(plan=HEX),)),
    ("a plan has one migration of each version", (migration(version="key_version"),)),
    ("plan_id, key_version of migrations never change", (f"UPDATE migrations SET plan_id = {HEX}",)),
    ("plan_id, key_version of migrations never change", ("UPDATE migrations SET key_version = 2",)),
    *(
        (
            "failed or was rolled back has ended",
            (f"UPDATE migrations SET status = '{status}'", "UPDATE migrations SET status = 'COMPLETED'"),
        )
        for status in ("FAILED", "ROLLED_BACK")
    ),
    ("changes in a migration only", LEVEL),
    ("the status cannot change like that", change("key_versions", "status = 'DEPRECATED'", V2)),
]


@pytest.mark.parametrize(("rule", "statements"), CASES)
def test_fr_012_the_database_refuses(raw: Any, rule: str, statements: tuple[str, ...]) -> None:
    error = error_of(raw, statements)
    assert error is not None
    assert PREFIX in error
    assert rule in error


@pytest.mark.parametrize(
    "statements",
    [
        (migration(),),
        (approval(),),
        (RAISE, *LEVEL),
    ],
)
def test_fr_012_what_is_right_is_not_refused(raw: Any, statements: tuple[str, ...]) -> None:
    begin_intent(raw, "migrate")
    assert error_of(raw, statements) is None


def begin_intent(raw: Any, kind: str) -> None:
    """Let an intent be open for version 1 of the key."""
    raw.execute(
        "INSERT INTO intents (operation_id, kind, step, key_id, from_version, backend_id, parameters, principal,"
        f" created_at, updated_at, mac) SELECT {HEX}, '{kind}', step, key_id, 1, backend_id, parameters, principal,"
        " created_at, updated_at, mac FROM intents WHERE outcome IS NULL LIMIT 1"
    )


@pytest.mark.parametrize(("kind", "possible"), [("revert", True), ("migrate", False), ("rotate", False)])
def test_fr_012_a_deprecated_version_is_active_again_in_a_rollback_only(
    raw: Any, kind: str, *, possible: bool
) -> None:
    begin_intent(raw, kind)
    deprecate = change("key_versions", "status = 'DEPRECATED', last_rotation_at = created_at", V1)
    back = change("key_versions", "status = 'ACTIVE'", V1)
    assert (error_of(raw, (*deprecate, *back)) is None) is possible
