"""MigrationPlan and MigrationApproval: what is to be migrated, and who agreed to exactly that (FR-012)."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from keyclave.models.backend import BackendId
from keyclave.models.base import Model, NonEmptyStr, UtcDatetime, Version, require
from keyclave.models.environment import BackendType
from keyclave.models.key import AlgorithmName, KeyName
from keyclave.models.levels import SecurityLevel
from keyclave.models.migration import ApprovalRecord, MigrationStrategy, Sha256

__all__ = ["APPROVAL_LIFETIME", "MigrationApproval", "MigrationPlan", "PlannedMigration"]

APPROVAL_LIFETIME = timedelta(hours=24)
"""No migration of a plan begins later than this after the plan was approved."""


class PlannedMigration(Model):
    """What a plan says of one version of a key.

    Attributes:
        key_id, key_name, version, algorithm: what is to go.
        source_backend_id, source_provider: where it is.
        source_uri: the address of that backend; ``None`` for one in this process, and for what stays.
        strategy: how it goes; ``None`` if it cannot, or need not.
        reason: why so, in words.
        requires: the level that the key requires from then on.
        method: how it is wrapped; ``None`` unless it is.
        wrapping_key_origin: SHA-256 over what says from where the key comes that it is wrapped under, 64 lower case
            hexadecimal digits; ``None`` unless it is wrapped.
        downgrade: what protection it loses, in words, by the exception of the plan; ``None`` if it loses none.
        consequences: what else whoever approves it must know, a sentence each.
    """

    key_id: UUID
    key_name: KeyName
    version: Version
    algorithm: AlgorithmName
    source_backend_id: BackendId
    source_provider: BackendType
    source_uri: NonEmptyStr | None = None
    strategy: MigrationStrategy | None
    reason: NonEmptyStr
    requires: SecurityLevel
    method: NonEmptyStr | None = None
    wrapping_key_origin: Sha256 | None = None
    downgrade: NonEmptyStr | None = None
    consequences: tuple[NonEmptyStr, ...] = ()


class MigrationPlan(Model):
    """What a migration of keys would do, found without changing anything. It never changes.

    Attributes:
        plan_id: unique.
        destination_backend_id, destination_provider: where the keys are to go.
        destination_level: what the destination showed when the plan was made.
        destination_uri: its address; ``None`` for one in this process.
        requested_by: the principal that asked; another one must approve it.
        created_at: UTC.
        exception: the reason for an exception from the rule that no key goes to a lower level; ``None`` for none.
        versions: each version of each key.
        plan_hash: SHA-256 over all of this, 64 lower case hexadecimal digits: what an approval is bound to.
    """

    plan_id: UUID
    destination_backend_id: BackendId
    destination_provider: BackendType
    destination_level: SecurityLevel
    destination_uri: NonEmptyStr | None = None
    requested_by: NonEmptyStr
    created_at: UtcDatetime
    exception: NonEmptyStr | None = None
    versions: Annotated[tuple[PlannedMigration, ...], Field(min_length=1)]
    plan_hash: Sha256

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """Return the plan with these fields, and with its hash."""
        unhashed = cls.model_construct(**fields)
        return cls(**fields, plan_hash=unhashed.computed_hash())

    def computed_hash(self) -> str:
        """Return the hash of the canonical JSON (keys sorted, no blanks) of all fields but ``plan_hash``."""
        fields = self.model_dump(mode="json", exclude={"plan_hash"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def possible(self) -> tuple[PlannedMigration, ...]:
        """Those that can go."""
        return tuple(planned for planned in self.versions if planned.strategy is not None)

    def of_version(self, key_id: UUID, version: int) -> PlannedMigration:
        """Return what it says of one version that can go."""
        return next(planned for planned in self.possible if (planned.key_id, planned.version) == (key_id, version))

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(self.plan_hash == self.computed_hash(), "FR-012", "plan_hash", "must be the hash of the plan")
        named = {(planned.key_id, planned.version) for planned in self.versions}
        require(len(named) == len(self.versions), "FR-012", "versions", "must name each version once")
        return self


class MigrationApproval(ApprovalRecord):
    """The approval of one plan. It is used once.

    Attributes:
        approval_id: unique.
        approved_by, approved_at, approval_justification: as in `ApprovalRecord`.
        plan_id, plan_hash: the plan, and its hash.
        expires_at: no migration begins with it later.
        consumed_at: when it was used; ``None`` while it was not.
    """

    approval_id: UUID
    plan_id: UUID
    plan_hash: Sha256
    expires_at: UtcDatetime
    consumed_at: UtcDatetime | None = None

    def record(self) -> ApprovalRecord:
        """Return what the migrations keep of it."""
        return ApprovalRecord(**{field: getattr(self, field) for field in ApprovalRecord.model_fields})

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(
            timedelta(0) <= self.expires_at - self.approved_at <= APPROVAL_LIFETIME,
            "FR-012",
            "expires_at",
            "must not be before approved_at, nor more than 24 hours later",
        )
        require(
            self.consumed_at is None or self.approved_at <= self.consumed_at <= self.expires_at,
            "FR-012",
            "consumed_at",
            "must be between approved_at and expires_at",
        )
        return self
