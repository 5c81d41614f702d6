"""The tables of revision 0001, with what a single row must satisfy."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem

__all__ = ["METADATA"]

METADATA = sa.MetaData()

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Order and comparison of names must not depend on the locale of a server.
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_LEVELS = ("HSM", "TPM", "SOFTWARE")
_STATUSES = ("ACTIVE", "PENDING", "DEPRECATED", "REVOKED")


def _text(name: str, *, null: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, primary_key=key)


def _integer(name: str, *, null: bool = False, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, _INTEGER, nullable=null, primary_key=key, autoincrement=False)


def _binary(name: str, *, null: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=null)


def _identifier(name: str, *, key: bool = False) -> tuple[sa.Column[str], sa.CheckConstraint]:
    """A UUID as 32 hexadecimal digits."""
    return _text(name, key=key), _check(f"{name}_is_uuid", f"length({name}) = 32")


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=name)


def _one_of(column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return _check(f"{column}_is_known", f"{column} IN ({allowed})")


def _mac() -> tuple[sa.Column[bytes], sa.CheckConstraint]:
    return _binary("mac"), _check("mac_is_sha256", "length(mac) = 32")


def _only_row() -> tuple[sa.Column[int], sa.CheckConstraint]:
    return _integer("singleton", key=True), _check("is_only_row", "singleton = 1")


def _table(name: str, *items: SchemaItem) -> None:
    sa.Table(name, METADATA, *items, sqlite_strict=True)


_table(
    "instance",
    *_only_row(),
    *_identifier("instance_id"),
    _integer("created_at"),
    _integer("epoch"),
    _integer("epoch_sum"),
    *_mac(),
)
_table(
    "environments",
    _text("environment_type", key=True),
    _text("required_security_level"),
    _integer("created_at"),
    _integer("updated_at"),
    _text("created_by"),
    _text("details"),
    *_mac(),
    _one_of("environment_type", ("production", "staging", "development", "local")),
    _one_of("required_security_level", _LEVELS),
    _check("production_is_hsm", "environment_type <> 'production' OR required_security_level = 'HSM'"),
)
_table(
    "backends",
    _text("backend_id", key=True),
    _text("provider_type"),
    _text("security_level"),
    _text("availability_status"),
    _text("authentication_method"),
    _text("details"),
    *_mac(),
    _one_of("security_level", _LEVELS),
    _one_of("availability_status", ("AVAILABLE", "DEGRADED", "UNAVAILABLE")),
    _one_of(
        "authentication_method",
        ("MANAGED_IDENTITY", "SERVICE_ACCOUNT", "PROCESS_IDENTITY", "CERTIFICATE", "API_KEY"),
    ),
)
_table(
    "keys",
    *_identifier("key_id", key=True),
    sa.Column("name", _NAME, nullable=False, unique=True),
    _text("algorithm"),
    _text("owner_principal"),
    _integer("created_at"),
    _text("required_security_level"),
    _text("rotation_policy"),
    _integer("minimum_rotation_interval", null=True),
    sa.Column("epoch", _INTEGER, nullable=False, unique=True),
    *_mac(),
    _one_of("required_security_level", _LEVELS),
)
_table(
    "key_versions",
    sa.Column("key_id", sa.Text, sa.ForeignKey("keys.key_id"), primary_key=True),
    _integer("version", key=True),
    _text("status"),
    _text("backend_id"),
    _text("backend_type"),
    _text("label"),
    _text("provider_uri"),
    _binary("public_key", null=True),
    _integer("exportable"),
    _integer("hsm_backed"),
    _integer("created_at"),
    _integer("last_rotation_at", null=True),
    _integer("next_rotation_at", null=True),
    _integer("not_destroy_before", null=True),
    _integer("destroyed_at", null=True),
    sa.Column("epoch", _INTEGER, nullable=False, unique=True),
    *_mac(),
    _one_of("status", _STATUSES),
    _check("version_is_positive", "version >= 1"),
    _check("flags_are_boolean", "exportable IN (0, 1) AND hsm_backed IN (0, 1)"),
    _check("hsm_is_not_exportable", "hsm_backed = 0 OR exportable = 0"),
    _check("deprecated_was_rotated", "status <> 'DEPRECATED' OR last_rotation_at IS NOT NULL"),
    _check("rotated_after_creation", "last_rotation_at >= created_at"),
    _check("next_rotation_is_later", "next_rotation_at > COALESCE(last_rotation_at, created_at)"),
    _check("destroyed_out_of_use", "destroyed_at IS NULL OR status IN ('DEPRECATED', 'REVOKED')"),
    _check("destroyed_after_retention", "destroyed_at >= not_destroy_before"),
    *(
        sa.Index(
            f"one_{status.lower()}_version",
            "key_id",
            unique=True,
            sqlite_where=sa.text(f"status = '{status}'"),
            postgresql_where=sa.text(f"status = '{status}'"),
        )
        for status in ("ACTIVE", "PENDING")
    ),
)
_table(
    "intents",
    *_identifier("operation_id", key=True),
    _text("kind"),
    _text("step"),
    *_identifier("key_id"),
    _integer("from_version", null=True),
    _integer("to_version", null=True),
    _text("backend_id"),
    _text("label", null=True),
    _text("parameters"),
    _text("principal"),
    _integer("created_at"),
    _integer("updated_at"),
    _text("outcome", null=True),
    *_mac(),
    _one_of("kind", ("create", "rotate", "revoke", "destroy")),
    _one_of("outcome", ("done", "undone")),
    sa.Index(
        "open_intents",
        "created_at",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    ),
)
_table(
    "operations",
    _integer("sequence", key=True),
    sa.Column("operation_id", sa.Text, nullable=False, unique=True),
    _integer("occurred_at"),
    _text("key_reference"),
    _binary("record"),
    _binary("hash"),
    _check("operation_id_is_uuid", "length(operation_id) = 32"),
    _check("hash_is_sha256", "length(hash) = 32"),
)
_table(
    "audit_head",
    *_only_row(),
    _integer("epoch"),
    _integer("sequence"),
    _binary("hash"),
    *_mac(),
    _check("head_hash_is_sha256", "length(hash) = 32"),
)
_table(
    "migrations",
    *_identifier("migration_id", key=True),
    _text("strategy"),
    _text("source_backend_id"),
    _text("source_provider"),
    _text("destination_backend_id"),
    _text("destination_provider"),
    _integer("migrated_at"),
    _integer("completed_at", null=True),
    _integer("source_retained_until", null=True),
    _text("source_key_id"),
    _text("destination_key_id", null=True),
    _binary("cryptographic_proof", null=True),
    _text("status"),
    _text("details"),
    *_mac(),
    _one_of("strategy", ("WRAPPED", "REKEYED")),
    _one_of("status", ("IN_PROGRESS", "COMPLETED", "FAILED", "ROLLED_BACK")),
    _check("source_is_not_destination", "source_backend_id <> destination_backend_id"),
    _check("completed_after_start", "completed_at >= migrated_at"),
    _check(
        "completed_is_complete",
        "status <> 'COMPLETED' OR (completed_at IS NOT NULL AND destination_key_id IS NOT NULL"
        " AND source_retained_until IS NOT NULL)",
    ),
)
