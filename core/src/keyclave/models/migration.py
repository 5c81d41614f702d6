"""KeyMigrationRecord and ApprovalRecord: how a version of a key went from one backend to another (FR-012)."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import StringConstraints, model_validator

from keyclave.models.backend import BackendId
from keyclave.models.base import Model, NonEmptyStr, UtcDatetime, Version, require
from keyclave.models.environment import BackendType
from keyclave.models.key import KeyName
from keyclave.models.levels import SecurityLevel

__all__ = [
    "SOURCE_RETENTION",
    "ApprovalRecord",
    "KeyLocation",
    "KeyMigrationRecord",
    "MigrationStatus",
    "MigrationStrategy",
    "Sha256",
]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 hash: 64 lower case hexadecimal digits."""

SOURCE_RETENTION = timedelta(days=30)
"""The source key is kept at least this long after the migration completed."""


class MigrationStatus(StrEnum):
    """How far a migration is."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    ROLLED_BACK = "ROLLED_BACK"


class MigrationStrategy(StrEnum):
    """WRAPPED: the key itself moved. REKEYED: a new key took over, since the source cannot release its key."""

    WRAPPED = "WRAPPED"
    REKEYED = "REKEYED"


class ApprovalRecord(Model):
    """Who approved a migration, when and why.

    Attributes:
        approved_by: the principal that approved; not the one that asked.
        approved_at: UTC.
        approval_justification: the reason given.
    """

    approved_by: NonEmptyStr
    approved_at: UtcDatetime
    approval_justification: str | None = None


class KeyLocation(Model):
    """Where and how a backend keeps one version of a key.

    Attributes:
        label: the text of its `keyclave.plugin.KeyLabel`.
        provider_uri: the backend's own address of it.
        exportable: whether it may be released from there, wrapped.
        hsm_backed: whether it is kept in an HSM there.
    """

    label: NonEmptyStr
    provider_uri: NonEmptyStr
    exportable: bool
    hsm_backed: bool


class KeyMigrationRecord(Model):
    """The transfer of one version of a key between two backend instances.

    Attributes:
        migration_id: unique.
        plan_id: the plan that it carries out; a plan has one migration of each version.
        strategy: WRAPPED or REKEYED.
        key_name, key_version: what goes.
        source_backend_id, source_provider: where the key came from.
        destination_backend_id, destination_provider: where it went; another backend instance.
        migrated_at: when it was begun, UTC.
        completed_at: when it was completed, UTC, not before ``migrated_at``; ``None`` while in progress.
        source_retained_until: the source key is kept until then: at least 30 days after completion.
        source_key_id: the key that goes.
        source_location: where it was at the source.
        source_required_level: the level that the key required before.
        destination_key_id: the key from then on, which is the same; set on completion.
        destination_version: the version that took over: the same one, or the new one of a key that was re-keyed.
        destination_location: where it is at the destination; set together with ``destination_key_id``.
        integrity_hash: SHA-256 over the wrapped key, 64 lower case hexadecimal digits.
        wrapping_key_hash: SHA-256 over the public key (DER SubjectPublicKeyInfo) that it was wrapped under.
        cryptographic_proof: signatures over one fresh challenge; set on completion.
        administrative_approval: see there.
        status: how far it is.
        error_message: why it failed, or why it is not ended yet.
        audit_reference: where the record of the switch is found; ``None`` where there is none.
        rollback_reason: why it was rolled back; ``None`` if it was not.
        destination_gone_at: when the key of a migration that was rolled back is gone from the destination, or will
            be: a backend that delays destruction names a date to come.
        retired_at: when the source key is gone, or will be; ``None`` while it is kept.
    """

    migration_id: UUID
    plan_id: UUID
    key_name: KeyName
    key_version: Version
    strategy: MigrationStrategy
    source_backend_id: BackendId
    source_provider: BackendType
    destination_backend_id: BackendId
    destination_provider: BackendType
    migrated_at: UtcDatetime
    completed_at: UtcDatetime | None = None
    source_retained_until: UtcDatetime | None = None
    source_key_id: NonEmptyStr
    source_location: KeyLocation
    source_required_level: SecurityLevel
    destination_version: Version | None = None
    destination_location: KeyLocation | None = None
    destination_key_id: NonEmptyStr | None = None
    integrity_hash: Sha256 | None = None
    wrapping_key_hash: Sha256 | None = None
    cryptographic_proof: bytes | None = None
    administrative_approval: ApprovalRecord
    status: MigrationStatus = MigrationStatus.IN_PROGRESS
    error_message: NonEmptyStr | None = None
    audit_reference: NonEmptyStr | None = None
    rollback_reason: NonEmptyStr | None = None
    destination_gone_at: UtcDatetime | None = None
    retired_at: UtcDatetime | None = None

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(
            self.source_backend_id != self.destination_backend_id,
            "FR-012",
            "destination_backend_id",
            "must differ from source_backend_id",
        )
        require(
            self.completed_at is None or self.completed_at >= self.migrated_at,
            "FR-012",
            "completed_at",
            "must not be before migrated_at",
        )
        require(
            self.status is not MigrationStatus.IN_PROGRESS or self.completed_at is None,
            "FR-012",
            "completed_at",
            "must not be set while the migration is in progress",
        )
        require(
            self.status is not MigrationStatus.FAILED or self.error_message is not None,
            "error-message",
            "error_message",
            "must be set for a failed migration",
        )
        return self

    @model_validator(mode="after")
    def _check_completion(self) -> Self:
        if self.status is not MigrationStatus.COMPLETED:
            return self
        for field in (
            *("destination_key_id", "destination_version", "destination_location"),
            *("completed_at", "cryptographic_proof", "source_retained_until"),
        ):
            require(bool(getattr(self, field)), "FR-012", field, "must be set for a completed migration")
        require(
            self.strategy is MigrationStrategy.REKEYED or self.integrity_hash is not None,
            "FR-012",
            "integrity_hash",
            "must be set for a completed migration of a wrapped key",
        )
        return self

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        for field in ("rollback_reason", "destination_gone_at"):
            require(
                self.status is not MigrationStatus.ROLLED_BACK or bool(getattr(self, field)),
                "FR-012",
                field,
                "must be set for a migration that was rolled back",
            )
        require(
            self.retired_at is None
            or (
                self.status is MigrationStatus.COMPLETED
                and self.source_retained_until is not None
                and self.retired_at >= self.source_retained_until
            ),
            "FR-012",
            "retired_at",
            "must be set for a completed migration only, and not before source_retained_until",
        )
        return self

    @model_validator(mode="after")
    def _check_retention(self) -> Self:
        require(
            self.completed_at is None
            or self.source_retained_until is None
            or self.source_retained_until - self.completed_at >= SOURCE_RETENTION,
            "FR-012",
            "source_retained_until",
            "must be at least 30 days after completion",
        )
        return self
