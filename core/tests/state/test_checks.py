"""The database itself refuses a row that cannot be right: every statement here is raw SQL."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from keyclave.models import (
    AuthenticationMethod,
    AvailabilityStatus,
    EnvironmentType,
    KeyStatus,
    MigrationStatus,
    MigrationStrategy,
    SecurityLevel,
)
from keyclave.state.migrations.initial.tables import METADATA
from keyclave.state.records import IntentKind, IntentOutcome

from core.tests.databases import Place
from core.tests.state.raw_sql import HEX, NEXT, RAISE, Case, change, copy, error_of, new_version

V1, V2 = "version = 1", "version = 2"
RECORD = "(SELECT record FROM operations WHERE sequence = 1)"
REVOKE_2 = change("key_versions", "status = 'REVOKED'", V2)


def add_version(**changes: str) -> tuple[str, ...]:
    return (*REVOKE_2, *new_version(**changes))


def add_key(**changes: str) -> tuple[str, ...]:
    return (RAISE, copy("keys", **{"key_id": HEX, "name": "'other'", "epoch": NEXT, **changes}))


def without(trigger: str, table: str, *statements: str) -> tuple[str, ...]:
    """Statements that another rule would refuse first."""
    return (f"DROP TRIGGER {table}_{trigger} ON {table}", *statements)


def unplanned(**changes: str) -> tuple[str, ...]:
    """A copy of a migration; no row of revision 0001 has a plan."""
    return without("approved", "migrations", copy("migrations", **changes))


CASES: list[Case] = [
    # table.constraint
    ("instance.is_only_row", without("new", "instance", copy("instance", singleton="2"))),
    ("instance.instance_id_is_uuid", without("immutable", "instance", f"{RAISE}, instance_id = 'x'")),
    ("instance.mac_is_sha256", (f"{RAISE}, mac = {RECORD}",)),
    ("environments.environment_type_is_known", (copy("environments", environment_type="'moon'"),)),
    ("environments.required_security_level_is_known", ("UPDATE environments SET required_security_level = 'GOLD'",)),
    ("environments.production_is_hsm", (copy("environments", environment_type="'production'"),)),
    ("environments.mac_is_sha256", (f"UPDATE environments SET mac = {RECORD}",)),
    ("backends.security_level_is_known", ("UPDATE backends SET security_level = 'GOLD'",)),
    ("backends.availability_status_is_known", ("UPDATE backends SET availability_status = 'ASLEEP'",)),
    ("backends.authentication_method_is_known", ("UPDATE backends SET authentication_method = 'SMILE'",)),
    ("backends.mac_is_sha256", (f"UPDATE backends SET mac = {RECORD}",)),
    ("keys.key_id_is_uuid", add_key(key_id="'x'")),
    ("keys.required_security_level_is_known", add_key(required_security_level="'GOLD'")),
    ("keys.mac_is_sha256", add_key(mac=RECORD)),
    (
        "key_versions.status_is_known",
        without("status_edge", "key_versions", *change("key_versions", "status = 'NEW'", V1)),
    ),
    (
        "key_versions.version_is_positive",
        without("version_grows", "key_versions", *add_version(version="0")),
    ),
    ("key_versions.flags_are_boolean", add_version(hsm_backed="2")),
    ("key_versions.flags_are_boolean", add_version(exportable="-1")),
    ("key_versions.deprecated_was_rotated", change("key_versions", "status = 'DEPRECATED'", V1)),
    ("key_versions.rotated_after_creation", add_version(last_rotation_at="created_at - 1")),
    ("key_versions.next_rotation_is_later", add_version(next_rotation_at="created_at")),
    (
        "key_versions.next_rotation_is_later",
        add_version(last_rotation_at="created_at + 5", next_rotation_at="created_at + 5"),
    ),
    ("key_versions.destroyed_out_of_use", change("key_versions", "destroyed_at = not_destroy_before", V1)),
    ("key_versions.destroyed_out_of_use", change("key_versions", "destroyed_at = created_at", V2)),
    (
        "key_versions.destroyed_after_retention",
        change("key_versions", "status = 'REVOKED', destroyed_at = not_destroy_before - 1", V1),
    ),
    ("key_versions.mac_is_sha256", change("key_versions", f"mac = {RECORD}", V1)),
    ("intents.operation_id_is_uuid", (copy("intents", operation_id="'x'"),)),
    ("intents.key_id_is_uuid", (copy("intents", operation_id=HEX, key_id="'x'"),)),
    ("intents.kind_is_known", (copy("intents", operation_id=HEX, kind="'dance'"),)),
    ("intents.outcome_is_known", ("UPDATE intents SET outcome = 'maybe' WHERE outcome IS NULL",)),
    ("intents.mac_is_sha256", (f"UPDATE intents SET mac = {RECORD} WHERE outcome IS NULL",)),
    ("operations.operation_id_is_uuid", (copy("operations", sequence="3", operation_id="'x'"),)),
    ("operations.hash_is_sha256", (copy("operations", sequence="3", operation_id=HEX, hash="record"),)),
    (
        "audit_head.head_hash_is_sha256",
        without("last_record", "audit_head", f"UPDATE audit_head SET hash = {RECORD}"),
    ),
    ("audit_head.mac_is_sha256", without("last_record", "audit_head", f"UPDATE audit_head SET mac = {RECORD}")),
    ("migrations.migration_id_is_uuid", unplanned(migration_id="'x'")),
    ("migrations.strategy_is_known", ("UPDATE migrations SET strategy = 'TELEPORTED'",)),
    ("migrations.status_is_known", ("UPDATE migrations SET status = 'LATE'",)),
    (
        "migrations.source_is_not_destination",
        unplanned(migration_id=HEX, destination_backend_id="source_backend_id"),
    ),
    ("migrations.completed_after_start", ("UPDATE migrations SET completed_at = migrated_at - 1",)),
    *(
        ("migrations.completed_is_complete", unplanned(migration_id=HEX, **{column: "NULL"}))
        for column in ("completed_at", "destination_key_id", "source_retained_until")
    ),
    ("migrations.mac_is_sha256", (f"UPDATE migrations SET mac = {RECORD}",)),
]

REMOVED = {"key_versions.hsm_is_not_exportable"}
"""Rules of the first revision that a later one took away."""


@pytest.mark.parametrize(("rule", "statements"), CASES)
def test_the_database_refuses(kept: Place, raw: Any, rule: str, statements: tuple[str, ...]) -> None:
    if kept.kind == "sqlite":
        statements = tuple(s.partition(" ON ")[0] if s.startswith("DROP") else s for s in statements)
    error = error_of(raw, statements)
    assert error is not None
    assert "check constraint" in error.lower()
    assert rule.partition(".")[2] in error


def test_every_check_is_tried() -> None:
    checks = {
        f"{table.name}.{constraint.name}"
        for table in METADATA.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }
    only_sqlite = {"audit_head.is_only_row"}  # tried in test_chains.py: PostgreSQL has several
    assert checks - REMOVED == {rule for rule, _ in CASES} | only_sqlite


def test_a_version_needs_its_key(raw: Any) -> None:
    statements = (*REVOKE_2, *new_version(key_id=HEX, version="1"))
    assert "foreign key" in str(error_of(raw, statements)).lower()


@pytest.mark.parametrize("status", ["ACTIVE", "PENDING"])
def test_an_index_keeps_a_status_unique_without_the_rule_too(kept: Place, raw: Any, status: str) -> None:
    drop = f"DROP TRIGGER key_versions_one_{status.lower()}_insert"
    if kept.kind != "sqlite":
        drop += " ON key_versions"
    assert "unique" in str(error_of(raw, (drop, *new_version(status=f"'{status}'")))).lower()


def test_a_column_holds_what_its_type_says(raw: Any) -> None:
    error = str(error_of(raw, ("UPDATE environments SET updated_at = 'text'",)))
    assert "cannot store TEXT value in INTEGER column" in error or "invalid input syntax for type bigint" in error


KNOWN: dict[tuple[str, str], type[StrEnum] | tuple[str, ...]] = {
    ("environments", "environment_type"): EnvironmentType,
    ("environments", "required_security_level"): SecurityLevel,
    ("backends", "security_level"): SecurityLevel,
    ("backends", "availability_status"): AvailabilityStatus,
    ("backends", "authentication_method"): AuthenticationMethod,
    ("keys", "required_security_level"): SecurityLevel,
    ("key_versions", "status"): KeyStatus,
    ("intents", "kind"): get_args(IntentKind),
    ("intents", "outcome"): get_args(IntentOutcome),
    ("migrations", "strategy"): MigrationStrategy,
    ("migrations", "status"): MigrationStatus,
}


@pytest.mark.parametrize(("table", "column"), KNOWN)
def test_the_database_knows_the_same_values_as_the_code(kept: Place, table: str, column: str) -> None:
    with kept.inspected() as inspector:
        found = {check["name"]: check["sqltext"] for check in inspector.get_check_constraints(table)}
    assert set(found[f"{column}_is_known"].split("'")[1::2]) == set(KNOWN[table, column])
