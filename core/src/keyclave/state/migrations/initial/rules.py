"""The rules of revision 0001 that look at more than one row, or at a row before and after a change.

``REPLACE`` in SQLite deletes the rows in its way without asking a DELETE trigger. So whatever must not be deleted
has a rule on INSERT and UPDATE that refuses while such a row is there.
"""

from __future__ import annotations

from keyclave.state.migrations.guards import Guard

__all__ = ["EDGES", "GUARDS", "changed", "immutable", "kept", "new"]

EDGES = "'PENDING>ACTIVE', 'PENDING>REVOKED', 'ACTIVE>DEPRECATED', 'ACTIVE>REVOKED', 'DEPRECATED>REVOKED'"


def changed(*columns: str) -> str:
    """Return the condition that a change of a row changes one of these columns."""
    return "(" + " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in columns) + ")"


def immutable(table: str, *columns: str) -> Guard:
    """Return the rule that these columns never change."""
    return Guard(table, "UPDATE", "immutable", changed(*columns), f"{', '.join(columns)} of {table} never change")


def kept(table: str) -> Guard:
    """Return the rule that no row is deleted."""
    return Guard(table, "DELETE", "kept", "TRUE", f"no row of {table} is deleted")


def new(table: str, *columns: str) -> Guard:
    """Return the rule that no row is added that has the value of another one in one of these columns."""
    same = " OR ".join(f"{column} = NEW.{column}" for column in columns)
    there = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608  ours
    return Guard(table, "INSERT", "new", there, f"such a row of {table} exists")


def _ratchet(table: str, column: str) -> Guard:
    earlier = f"(NEW.{column} IS NULL OR NEW.{column} < OLD.{column})"
    return Guard(
        table,
        "UPDATE",
        f"{column}_ratchet",
        f"OLD.{column} IS NOT NULL AND {earlier}",
        f"{column} of {table} is never moved earlier",
    )


def _single(status: str) -> tuple[Guard, Guard]:
    """One version of a key in this status; the partial index says so too, but ``REPLACE`` would obey it."""
    same = f"key_id = NEW.key_id AND status = '{status}' AND version <> NEW.version"
    other = f"NEW.status = '{status}' AND EXISTS (SELECT 1 FROM key_versions WHERE {same})"  # noqa: S608  ours
    message = f"a key has one {status} version"
    name = f"one_{status.lower()}"
    return (
        Guard("key_versions", "INSERT", f"{name}_insert", other, message),
        Guard("key_versions", "UPDATE", f"{name}_update", other, message),
    )


def _epoch(table: str) -> tuple[Guard, Guard]:
    """A key or version is only written with an epoch that was raised for this write."""
    stale = (
        "NEW.epoch IS DISTINCT FROM (SELECT epoch FROM instance)"
        " OR EXISTS (SELECT 1 FROM keys WHERE epoch >= NEW.epoch)"
        " OR EXISTS (SELECT 1 FROM key_versions WHERE epoch >= NEW.epoch)"
    )
    message = f"a change of {table} raises the epoch"
    return (
        Guard(table, "INSERT", "epoch_insert", stale, message),
        Guard(table, "UPDATE", "epoch_update", stale, message),
    )


_INSTANCE = (
    new("instance", "singleton"),
    immutable("instance", "singleton", "instance_id", "created_at"),
    Guard("instance", "UPDATE", "epoch_rises", "NEW.epoch <= OLD.epoch", "the epoch only rises"),
    kept("instance"),
)
_ENVIRONMENTS = (
    new("environments", "environment_type"),
    immutable("environments", "environment_type", "created_at", "created_by"),
    kept("environments"),
)
_BACKENDS = (
    new("backends", "backend_id"),
    immutable("backends", "backend_id", "provider_type"),
    kept("backends"),
)
_KEYS = (
    new("keys", "key_id", "name"),
    immutable("keys", "key_id", "name", "algorithm", "created_at", "required_security_level"),
    *_epoch("keys"),
    kept("keys"),
)
_KEY_VERSIONS = (
    Guard(
        "key_versions",
        "INSERT",
        "version_grows",
        "NEW.version IS DISTINCT FROM (SELECT COALESCE(MAX(version), 0) + 1 FROM key_versions"
        " WHERE key_id = NEW.key_id)",
        "a new version is one more than the newest",
    ),
    Guard(
        "key_versions",
        "INSERT",
        "first_status",
        "NEW.status NOT IN ('PENDING', 'ACTIVE')",
        "a new version is PENDING or ACTIVE",
    ),
    Guard(
        "key_versions",
        "UPDATE",
        "status_edge",
        f"NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN ({EDGES})",
        "the status cannot change like that",
    ),
    *_single("ACTIVE"),
    *_single("PENDING"),
    immutable("key_versions", "key_id", "version", "created_at", "public_key"),
    Guard(
        "key_versions",
        "UPDATE",
        "place",
        f"NEW.backend_id = OLD.backend_id AND "
        f"{changed('backend_type', 'label', 'provider_uri', 'exportable', 'hsm_backed')}",
        "where and how a version is kept changes with its backend only",
    ),
    _ratchet("key_versions", "not_destroy_before"),
    Guard(
        "key_versions",
        "UPDATE",
        "destroyed",
        "OLD.destroyed_at IS NOT NULL AND NEW.destroyed_at IS NULL",
        "a destroyed version stays destroyed",
    ),
    *_epoch("key_versions"),
    kept("key_versions"),
)
_INTENTS = (
    new("intents", "operation_id"),
    immutable("intents", "operation_id", "kind", "key_id", "from_version", "principal", "created_at"),
    Guard("intents", "UPDATE", "closed", "OLD.outcome IS NOT NULL", "a closed intent stays as it is"),
    kept("intents"),
)
_AUDIT = (
    Guard(
        "operations",
        "INSERT",
        "appended",
        "NEW.sequence IS DISTINCT FROM (SELECT COALESCE(MAX(sequence), 0) + 1 FROM operations)"
        " OR EXISTS (SELECT 1 FROM operations WHERE operation_id = NEW.operation_id)",
        "a record is new and is appended",
    ),
    Guard("operations", "UPDATE", "immutable", "TRUE", "no record is changed"),
    kept("operations"),
    new("audit_head", "singleton"),
    Guard(
        "audit_head",
        "UPDATE",
        "last_record",
        "NEW.singleton <> OLD.singleton OR NEW.sequence <= OLD.sequence"
        " OR NOT EXISTS (SELECT 1 FROM operations WHERE sequence = NEW.sequence AND hash = NEW.hash)"
        " OR EXISTS (SELECT 1 FROM operations WHERE sequence > NEW.sequence)",
        "the head names the last record",
    ),
    kept("audit_head"),
)
_MIGRATIONS = (
    new("migrations", "migration_id"),
    immutable(
        "migrations",
        "migration_id",
        "source_backend_id",
        "source_provider",
        "destination_backend_id",
        "destination_provider",
        "source_key_id",
        "migrated_at",
    ),
    _ratchet("migrations", "source_retained_until"),
    kept("migrations"),
)

GUARDS: tuple[Guard, ...] = (
    *_INSTANCE,
    *_ENVIRONMENTS,
    *_BACKENDS,
    *_KEYS,
    *_KEY_VERSIONS,
    *_INTENTS,
    *_AUDIT,
    *_MIGRATIONS,
)
