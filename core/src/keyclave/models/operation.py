"""CryptographicOperation: one line of the audit log."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import ValidationInfo, model_validator

from keyclave.models.backend import BackendId
from keyclave.models.base import Model, NonEmptyStr, UtcDatetime, Version, require
from keyclave.models.environment import BackendType

__all__ = [
    "SLOW_SIGNATURE",
    "STORED",
    "CryptographicOperation",
    "OperationStatus",
    "OperationType",
    "looks_like_key_material",
]

SLOW_SIGNATURE = timedelta(milliseconds=500)
"""A signature that takes longer emits a warning (NFR-007)."""

STORED = {"stored": True}
"""Validation context for a record read back: its time was checked when it was written."""

_KEY_MATERIAL = re.compile(
    r"-----BEGIN|[0-9A-Fa-f]{64}|(?=[A-Za-z0-9+/_-]*[a-z])(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*[0-9])"
    r"[A-Za-z0-9+/_-]{43}"
)


def looks_like_key_material(text: str) -> bool:
    """Return whether the text holds PEM, 32 bytes in hexadecimal, or 32 bytes in base64.

    Examples:
        >>> looks_like_key_material("key 5f0c91a6-6f0b-4a2e-9a56-0d6f4dbf5c11 was not found")
        False
    """
    return _KEY_MATERIAL.search(text) is not None


class OperationType(StrEnum):
    """What was done."""

    KEY_GENERATION = "KEY_GENERATION"
    ADOPT = "ADOPT"
    SIGN = "SIGN"
    VERIFY = "VERIFY"
    ENCRYPT = "ENCRYPT"
    DECRYPT = "DECRYPT"
    ROTATE = "ROTATE"
    PLAN_MIGRATION = "PLAN_MIGRATION"
    APPROVE_MIGRATION = "APPROVE_MIGRATION"
    MIGRATE = "MIGRATE"
    VERIFY_MIGRATION = "VERIFY_MIGRATION"
    REVERT_MIGRATION = "REVERT_MIGRATION"
    RETIRE_SOURCE = "RETIRE_SOURCE"
    HEALTH_CHECK = "HEALTH_CHECK"
    REVOKE = "REVOKE"
    DESTROY = "DESTROY"
    CANCEL_DESTRUCTION = "CANCEL_DESTRUCTION"
    PROMOTE = "PROMOTE"
    ROLLBACK = "ROLLBACK"
    RECOVER = "RECOVER"
    ADD_STANDBY = "ADD_STANDBY"
    REMOVE_STANDBY = "REMOVE_STANDBY"
    BEGIN_FALLBACK = "BEGIN_FALLBACK"
    END_FALLBACK = "END_FALLBACK"
    CHECK_LEVEL = "CHECK_LEVEL"


class OperationStatus(StrEnum):
    """How it ended."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    PENDING = "PENDING"


class CryptographicOperation(Model):
    """One operation, as the audit log keeps it.

    Attributes:
        operation_id: unique.
        operation_type: what was done.
        key_handle_reference: the key id; for an operation without a stored key what was asked for, as
            ``name:<key name>``, ``backend:<backend id>``, ``plan:<plan id>`` or ``migration:<migration id>``.
        key_version: the version used; ``None`` where there is none.
        timestamp: UTC, not in the future.
        requesting_principal: who asked.
        status: how it ended.
        error_message: why it failed: identifiers only, never key material (FR-013).
        duration: how long it took.
        audit_trail_reference: where the record is found again; only a health check has none (FR-010).
        provider_reference: the provider's own reference, such as a cloud's request id.
        backend_id, backend_type: the backend instance and its plugin; ``None`` where none was involved.
    """

    operation_id: UUID
    operation_type: OperationType
    key_handle_reference: NonEmptyStr
    key_version: Version | None = None
    timestamp: UtcDatetime
    requesting_principal: NonEmptyStr
    status: OperationStatus
    error_message: NonEmptyStr | None = None
    duration: timedelta | None = None
    audit_trail_reference: NonEmptyStr | None = None
    provider_reference: NonEmptyStr | None = None
    backend_id: BackendId | None = None
    backend_type: BackendType | None = None

    @property
    def is_slow(self) -> bool:
        """Whether this is a signature that took longer than 500 ms (NFR-007)."""
        return (
            self.operation_type is OperationType.SIGN and self.duration is not None and self.duration > SLOW_SIGNATURE
        )

    @model_validator(mode="after")
    def _check_rules(self, info: ValidationInfo) -> Self:
        stored = bool(info.context and info.context.get("stored"))
        require(
            stored or self.timestamp <= datetime.now(UTC),
            "timestamps",
            "timestamp",
            "must not be in the future",
        )
        require(
            self.status is not OperationStatus.FAILED or self.error_message is not None,
            "error-message",
            "error_message",
            "must be set for a failed operation",
        )
        require(
            self.error_message is None or not looks_like_key_material(self.error_message),
            "FR-013",
            "error_message",
            "must not contain key material",
        )
        require(
            self.duration is None or self.duration >= timedelta(0),
            "duration",
            "duration",
            "must not be negative",
        )
        require(
            self.operation_type is OperationType.HEALTH_CHECK or self.audit_trail_reference is not None,
            "FR-010",
            "audit_trail_reference",
            "must be set for every operation but a health check",
        )
        return self
