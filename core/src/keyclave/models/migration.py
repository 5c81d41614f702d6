"""KeyMigrationRecord and ApprovalRecord: how a key moved from one backend to another (FR-012)."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import StringConstraints, model_validator

from keyclave.models.backend import BackendId
from keyclave.models.base import Model, NonEmptyStr, UtcDatetime, require
from keyclave.models.environment import BackendType

__all__ = [
    "SOURCE_RETENTION",
    "ApprovalRecord",
    "KeyMigrationRecord",
    "MigrationStatus",
    "MigrationStrategy",
]

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


class KeyMigrationRecord(Model):
    """The transfer of one key between two backend instances.

    Attributes:
        migration_id: unique.
        strategy: WRAPPED or REKEYED.
        source_backend_id, source_provider: where the key came from.
        destination_backend_id, destination_provider: where it went; another backend instance.
        migrated_at: when it was begun, UTC.
        completed_at: when it was completed, UTC, not before ``migrated_at``; ``None`` while in progress.
        source_retained_until: the source key is kept until then: at least 30 days after completion.
        source_key_id: the key at the source.
        destination_key_id: the key at the destination; set on completion.
        integrity_hash: SHA-256 over the wrapped key, 64 lower case hexadecimal digits.
        cryptographic_proof: signatures over one fresh challenge; set on completion.
        administrative_approval: see there.
        status: how far it is.
        error_message: why it failed.
    """

    migration_id: UUID
    strategy: MigrationStrategy
    source_backend_id: BackendId
    source_provider: BackendType
    destination_backend_id: BackendId
    destination_provider: BackendType
    migrated_at: UtcDatetime
    completed_at: UtcDatetime | None = None
    source_retained_until: UtcDatetime | None = None
    source_key_id: NonEmptyStr
    destination_key_id: NonEmptyStr | None = None
    integrity_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    cryptographic_proof: bytes | None = None
    administrative_approval: ApprovalRecord
    status: MigrationStatus = MigrationStatus.IN_PROGRESS
    error_message: NonEmptyStr | None = None

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
        for field in ("destination_key_id", "completed_at", "cryptographic_proof", "source_retained_until"):
            require(bool(getattr(self, field)), "FR-012", field, "must be set for a completed migration")
        require(
            self.strategy is MigrationStrategy.REKEYED or self.integrity_hash is not None,
            "FR-012",
            "integrity_hash",
            "must be set for a completed migration of a wrapped key",
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
