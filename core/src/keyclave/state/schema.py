"""The tables as queries see them; `keyclave.state.migrations` makes them.

Values are integers, texts and bytes only, the same in every database, so that a row's MAC does not depend on which
one it is: identifiers are 32 hexadecimal digits, times and durations microseconds (times since 1970 UTC).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text

__all__ = [
    "AUDIT_HEAD",
    "BACKENDS",
    "BACKEND_HEALTH",
    "CLOCK",
    "ENVIRONMENTS",
    "FALLBACKS",
    "INSTANCE",
    "INTENTS",
    "KEYS",
    "KEY_VERSIONS",
    "LEASES",
    "METADATA",
    "MIGRATIONS",
    "MIGRATION_APPROVALS",
    "MIGRATION_PLANS",
    "OPERATIONS",
    "REVISIONS",
]

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
"""Every revision of the schema, oldest first. A database at any other one is newer than this code."""

METADATA = MetaData()


def _table(name: str, *, text: str = "", integer: str = "", binary: str = "") -> Table:
    types = ((text, Text), (integer, BigInteger), (binary, LargeBinary))
    columns = {column: kind for names, kind in types for column in names.split()}
    return Table(name, METADATA, *(Column(column, columns[column]) for column in sorted(columns)))


INSTANCE = _table("instance", text="instance_id chains", integer="singleton created_at epoch epoch_sum", binary="mac")
ENVIRONMENTS = _table(
    "environments",
    text="environment_type required_security_level created_by details",
    integer="created_at updated_at",
    binary="mac",
)
BACKENDS = _table(
    "backends",
    text="backend_id provider_type security_level availability_status authentication_method details",
    binary="mac",
)
BACKEND_HEALTH = _table(
    "backend_health", text="backend_id availability_status details", integer="last_health_check", binary="mac"
)
KEYS = _table(
    "keys",
    text="key_id name algorithm owner_principal required_security_level rotation_policy",
    integer="created_at minimum_rotation_interval epoch",
    binary="mac",
)
KEY_VERSIONS = _table(
    "key_versions",
    text="key_id status backend_id backend_type label provider_uri own_algorithm",
    integer="version exportable hsm_backed created_at last_rotation_at next_rotation_at not_destroy_before"
    " destroyed_at validation_ends_at epoch",
    binary="public_key mac",
)
INTENTS = _table(
    "intents",
    text="operation_id kind step key_id backend_id label parameters principal outcome",
    integer="from_version to_version created_at updated_at",
    binary="mac",
)
LEASES = _table("leases", text="resource holder", integer="fencing expires_at", binary="mac")
OPERATIONS = _table(
    "operations", text="operation_id key_reference", integer="chain sequence occurred_at", binary="record hash"
)
AUDIT_HEAD = _table("audit_head", integer="chain epoch sequence", binary="hash mac")
FALLBACKS = _table("fallbacks", text="backend_id", integer="begun_at ended_at", binary="mac")
CLOCK = _table("clock", integer="singleton witnessed_at", binary="mac")
MIGRATIONS = _table(
    "migrations",
    text="migration_id plan_id strategy source_backend_id source_provider destination_backend_id destination_provider"
    " source_key_id destination_key_id status details",
    integer="key_version migrated_at completed_at source_retained_until",
    binary="cryptographic_proof mac",
)
MIGRATION_PLANS = _table(
    "migration_plans",
    text="plan_id destination_backend_id requested_by plan_hash details",
    integer="created_at",
    binary="mac",
)
MIGRATION_APPROVALS = _table(
    "migration_approvals",
    text="approval_id plan_id plan_hash approved_by details",
    integer="approved_at expires_at consumed_at",
    binary="mac",
)
