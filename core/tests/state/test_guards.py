"""The database itself refuses what must not be, whoever asks: every statement here is raw SQL."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from keyclave.models import KeyStatus
from keyclave.state.migrations.guards import PREFIX
from keyclave.state.migrations.initial.rules import GUARDS
from keyclave.state.migrations.initial.tables import METADATA

from core.tests.databases import Place
from core.tests.state.raw_sql import HEX, NEXT, RAISE, Case, change, copy, error_of, new_version

V1, V2 = "version = 1", "version = 2"
PLACE = "where and how a version is kept changes with its backend only"
EPOCH_KEYS, EPOCH_VERSIONS = "a change of keys raises the epoch", "a change of key_versions raises the epoch"
RETAINED = "not_destroy_before of key_versions is never moved earlier"
CHAIN = "a new chain is empty, and its number one more than the last"
HEAD, APPENDED = "the head names the last record", "a record is new and is appended"
NEW_RECORD = copy("operations", sequence="3", operation_id=HEX)

IMMUTABLE_IN_VERSIONS = (
    ("key_id", HEX),
    ("version", "9"),
    ("created_at", "created_at - 1"),
    ("public_key", "NULL"),
    ("public_key", "mac"),
)
IMMUTABLE_IN_KEYS = (
    ("key_id", HEX),
    ("name", "'other'"),
    ("algorithm", "'ED25519'"),
    ("created_at", "created_at + 1"),
)
IMMUTABLE_ELSEWHERE = (
    ("instance", "epoch = epoch + 1, instance_id", HEX),
    ("instance", "epoch = epoch + 1, created_at", "created_at + 1"),
    ("instance", "epoch = epoch + 1, singleton", "2"),
    ("environments", "environment_type", "'staging'"),
    ("environments", "created_at", "created_at + 1"),
    ("environments", "created_by", "'other'"),
    ("backends", "backend_id", "'other'"),
    ("backends", "provider_type", "'aws'"),
    ("migrations", "migration_id", HEX),
    ("migrations", "source_backend_id", "'other'"),
    ("migrations", "source_provider", "'aws'"),
    ("migrations", "destination_backend_id", "'other'"),
    ("migrations", "destination_provider", "'aws'"),
    ("migrations", "source_key_id", HEX),
    ("migrations", "migrated_at", "migrated_at - 1"),
)
IMMUTABLE_IN_INTENTS = (
    ("operation_id", HEX),
    ("kind", "'destroy'"),
    ("key_id", HEX),
    ("from_version", "9"),
    ("principal", "'other'"),
    ("created_at", "created_at + 1"),
)
COPIES: tuple[tuple[str, dict[str, str]], ...] = (
    ("instance", {}),
    ("environments", {}),
    ("backends", {}),
    ("keys", {"name": "'other'", "epoch": NEXT}),
    ("keys", {"key_id": HEX, "epoch": NEXT}),
    ("intents", {}),
)

CASES: list[Case] = [
    ("a key has one ACTIVE version", change("key_versions", "status = 'ACTIVE'", V2)),
    ("a key has one ACTIVE version", new_version(status="'ACTIVE'")),
    ("a key has one PENDING version", new_version()),
    *(
        (
            "a new version is one more than the newest",
            (*change("key_versions", "status = 'REVOKED'", V2), *new_version(version=number)),
        )
        for number in ("0", "2", "4")
    ),
    (
        "a key has one STANDBY version",
        (*new_version(status="'STANDBY'"), *new_version(version="4", status="'STANDBY'")),
    ),
    (
        "a new version is PENDING, ACTIVE or STANDBY",
        new_version(status="'DEPRECATED'", last_rotation_at="created_at"),
    ),
    ("a new version is PENDING, ACTIVE or STANDBY", new_version(status="'REVOKED'")),
    *(("key_id, version,", change("key_versions", f"{c} = {v}", V1)) for c, v in IMMUTABLE_IN_VERSIONS),
    *(("key_id, name,", change("keys", f"{c} = {v}")) for c, v in IMMUTABLE_IN_KEYS),
    *((f"of {t} never change", (f"UPDATE {t} SET {c} = {v}",)) for t, c, v in IMMUTABLE_ELSEWHERE),
    *(
        ("of intents never change", (f"UPDATE intents SET {c} = {v} WHERE outcome IS NULL",))
        for c, v in IMMUTABLE_IN_INTENTS
    ),
    *(
        (PLACE, change("key_versions", assignment, V1))
        for assignment in (
            "backend_type = 'aws'",
            "label = 'other'",
            "provider_uri = 'software:other'",
            "exportable = 1",
            "hsm_backed = 1",
        )
    ),
    (RETAINED, change("key_versions", "not_destroy_before = not_destroy_before - 1", V1)),
    (RETAINED, change("key_versions", "not_destroy_before = NULL", V1)),
    (
        "source_retained_until of migrations is never moved earlier",
        ("UPDATE migrations SET source_retained_until = source_retained_until - 1",),
    ),
    (
        "source_retained_until of migrations is never moved earlier",
        ("UPDATE migrations SET source_retained_until = NULL, status = 'FAILED'",),
    ),
    (
        "a destroyed version stays destroyed",
        (
            *change("key_versions", "status = 'REVOKED', destroyed_at = not_destroy_before", V1),
            *change("key_versions", "destroyed_at = NULL", V1),
        ),
    ),
    ("the epoch only rises", ("UPDATE instance SET epoch = epoch",)),
    ("the epoch only rises", ("UPDATE instance SET epoch = epoch - 1",)),
    (EPOCH_VERSIONS, ("UPDATE key_versions SET next_rotation_at = NULL WHERE version = 1",)),
    (EPOCH_VERSIONS, (RAISE, "UPDATE key_versions SET next_rotation_at = NULL WHERE version = 1")),
    (EPOCH_VERSIONS, (RAISE, f"UPDATE key_versions SET epoch = {NEXT} + 1 WHERE version = 1")),
    (EPOCH_VERSIONS, (*change("key_versions", "next_rotation_at = NULL", V1), change("key_versions", V2, V2)[1])),
    (EPOCH_VERSIONS, (*change("key_versions", "status = 'REVOKED'", V2), new_version()[1])),
    (EPOCH_KEYS, ("UPDATE keys SET owner_principal = 'other'",)),
    (EPOCH_KEYS, (copy("keys", key_id=HEX, name="'other'"),)),
    *((f"no row of {table} is deleted", (f"DELETE FROM {table}",)) for table in METADATA.tables),
    *((f"such a row of {table} exists", (RAISE, copy(table, **changes))) for table, changes in COPIES),
    ("a closed intent stays as it is", ("UPDATE intents SET step = 'other' WHERE outcome IS NOT NULL",)),
    ("a closed intent stays as it is", ("UPDATE intents SET outcome = NULL WHERE outcome IS NOT NULL",)),
    *(
        ("no record is changed", (f"UPDATE operations SET {column.name} = {column.name} WHERE sequence = 1",))
        for column in METADATA.tables["operations"].columns
    ),
    (APPENDED, (copy("operations", sequence="4", operation_id=HEX),)),
    (APPENDED, (copy("operations", sequence="2", operation_id=HEX),)),
    (APPENDED, (copy("operations", sequence="3"),)),
    (CHAIN, (copy("audit_head", sequence="0"),)),
    (CHAIN, (copy("audit_head", chain="2"),)),
    (CHAIN, (copy("audit_head", chain="3", sequence="0"),)),
    *((HEAD, (f"UPDATE audit_head SET sequence = {number}",)) for number in ("1", "3", "sequence")),
    (HEAD, ("UPDATE audit_head SET chain = 2",)),
    (HEAD, (NEW_RECORD, "UPDATE audit_head SET sequence = 3, hash = mac")),
    (
        HEAD,
        (
            NEW_RECORD,
            copy("operations", sequence="4", operation_id=HEX.replace("00", "11", 1)),
            "UPDATE audit_head SET sequence = 3, hash = (SELECT hash FROM operations WHERE sequence = 3)",
        ),
    ),
]


@pytest.mark.parametrize(("rule", "statements"), CASES)
def test_the_database_refuses(raw: Any, rule: str, statements: tuple[str, ...]) -> None:
    error = error_of(raw, statements)
    assert error is not None
    assert PREFIX in error
    assert rule in error


FALLBACK = "INSERT INTO fallbacks (backend_id, begun_at, ended_at, mac) SELECT 'hsm', 5, NULL, mac FROM instance"
FALLBACKS: list[Case] = [
    ("such a row of fallbacks exists", (FALLBACK, FALLBACK)),
    ("no row of fallbacks is deleted", (FALLBACK, "DELETE FROM fallbacks")),
    *(
        ("a fallback begins anew after its end only", (FALLBACK, f"UPDATE fallbacks SET {change}"))
        for change in ("begun_at = 6", "begun_at = 4", "backend_id = 'other'")
    ),
    (
        "a fallback begins anew after its end only",
        (FALLBACK, "UPDATE fallbacks SET ended_at = 7", "UPDATE fallbacks SET begun_at = 4, ended_at = NULL"),
    ),
]


@pytest.mark.parametrize(("rule", "statements"), FALLBACKS)
def test_fr_024_the_database_refuses_to_lengthen_a_fallback(raw: Any, rule: str, statements: tuple[str, ...]) -> None:
    assert f"{PREFIX}{rule}" in str(error_of(raw, statements))


def test_fr_024_a_fallback_ends_and_begins_anew(raw: Any) -> None:
    steps = ("UPDATE fallbacks SET ended_at = 7", "UPDATE fallbacks SET begun_at = 8, ended_at = NULL")
    assert error_of(raw, (FALLBACK, *steps)) is None


def test_every_rule_is_tried() -> None:
    untried = {g.message for g in GUARDS if not any(rule in g.message for rule, _ in CASES)}
    elsewhere = {"the status cannot change like that", "such a row of migrations exists"}
    replaced = {"a new version is PENDING or ACTIVE", "such a row of audit_head exists"}
    assert untried == elsewhere | replaced, "these have tests of their own, or a later revision replaced them"


ALLOWED = {
    ("PENDING", "ACTIVE"),
    ("PENDING", "REVOKED"),
    ("ACTIVE", "DEPRECATED"),
    ("ACTIVE", "REVOKED"),
    ("DEPRECATED", "REVOKED"),
    ("STANDBY", "DEPRECATED"),
    ("STANDBY", "REVOKED"),
}
_FIRST = (KeyStatus.PENDING, KeyStatus.STANDBY)
"""What a version cannot become, and is from its beginning."""


@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(KeyStatus, 2)))
def test_a_status_changes_only_as_allowed(raw: Any, old: KeyStatus, new: KeyStatus) -> None:
    """Version 1 is brought to the old status; version 2 is out of the way, so that no other rule can refuse."""
    steps = change("key_versions", "status = 'REVOKED'", V2)
    if old in _FIRST:
        steps += change("key_versions", "status = 'REVOKED'", V1)
        steps += new_version(status=f"'{old}'")
    elif old is not KeyStatus.ACTIVE:
        steps += change("key_versions", f"status = '{old}', last_rotation_at = created_at", V1)
    where = "version = (SELECT MAX(version) FROM key_versions)" if old in _FIRST else V1
    steps += change("key_versions", f"status = '{new}', last_rotation_at = created_at", where)
    error = error_of(raw, steps)
    assert (error is None) == ((old, new) in ALLOWED)
    assert error is None or "the status cannot change like that" in error


def test_no_version_becomes_a_second_pending_one(kept: Place, raw: Any) -> None:
    """The rule of the changes of a status says so first."""
    raw.execute("DROP TRIGGER key_versions_status_edge" + ("" if kept.kind == "sqlite" else " ON key_versions"))
    error = error_of(raw, change("key_versions", "status = 'PENDING'", V1))
    assert "a key has one PENDING version" in str(error)


def test_what_is_allowed_is_not_refused(raw: Any) -> None:
    """The neighbours of the refused statements, so that a rule which refused everything would be noticed."""
    allowed = (
        *change("key_versions", "status = 'DEPRECATED', last_rotation_at = created_at", V1),
        *change("key_versions", "status = 'ACTIVE'", V2),
        *new_version(),
        *change("key_versions", "not_destroy_before = not_destroy_before + 1", V1),
        *change("key_versions", "backend_id = 'hsm', backend_type = 'x', label = 'l', hsm_backed = 1", V2),
        *change("key_versions", "destroyed_at = not_destroy_before", V1),
        *change("keys", "owner_principal = 'other'"),
        RAISE,
        copy("keys", key_id=HEX, name="'other'", epoch=NEXT),
        NEW_RECORD,
        "UPDATE audit_head SET sequence = 3, hash = (SELECT hash FROM operations WHERE sequence = 3)",
        "UPDATE intents SET outcome = 'undone' WHERE outcome IS NULL",
        "UPDATE migrations SET source_retained_until = source_retained_until + 1, status = 'ROLLED_BACK'",
        "UPDATE environments SET updated_at = updated_at + 1",
        "UPDATE backends SET availability_status = 'DEGRADED'",
    )
    for statement in allowed:
        assert error_of(raw, (statement,)) is None, statement


@pytest.mark.needs("postgresql")
def test_nothing_is_emptied_at_once(postgresql_place: Place) -> None:
    """SQLite has no TRUNCATE."""
    with postgresql_place.raw() as connection:
        for table in METADATA.tables:
            assert f"no row of {table} is deleted" in str(error_of(connection, (f"TRUNCATE {table} CASCADE",)))


REPLACEMENTS = [
    *((table, copy(table, **changes)) for table, changes in COPIES),
    ("operations", copy("operations", sequence="3")),
    ("audit_head", copy("audit_head", sequence="0")),
    ("operations", copy("operations", operation_id=HEX)),
    ("key_versions", new_version(version="1")[1]),
    ("key_versions", new_version()[1]),
    ("key_versions", new_version(status="'ACTIVE'")[1]),
    ("key_versions", change("key_versions", "status = 'ACTIVE'", V2)[1]),
    ("key_versions", change("key_versions", "epoch = 1", V2)[1].replace(f", epoch = {NEXT}", "")),
]


@pytest.mark.parametrize(("table", "statement"), REPLACEMENTS)
def test_replace_deletes_nothing(populated_sqlite: Place, table: str, statement: str) -> None:
    """REPLACE, which only SQLite has, removes the rows in its way and asks DELETE triggers only where told to."""
    statement = statement.replace("INSERT INTO", "INSERT OR REPLACE INTO").replace("UPDATE ", "UPDATE OR REPLACE ")
    with populated_sqlite.raw() as connection:
        connection.execute("PRAGMA recursive_triggers = OFF")
        connection.execute(RAISE)
        before = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        assert PREFIX in str(error_of(connection, (statement,)))
        assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == before
