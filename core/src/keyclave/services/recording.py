"""Every operation leaves one audit record, whether it succeeded, failed or was refused."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from keyclave.audit.log import AuditEntry, AuditLog, StaleKey
from keyclave.errors import AuditUnavailable, KeyclaveError
from keyclave.models import OperationStatus, OperationType, looks_like_key_material
from keyclave.services.names import name_reference, named_key
from keyclave.services.ownership.owners import CommitUnknown

__all__ = ["Operation", "Recorder", "failure_text"]

_MICROSECONDS = 1_000


class Operation:
    """One operation under way: what is known of it so far.

    Attributes:
        key_name: the key that the caller named; ``None`` if it was no key name.
        operation_id: unique; the idempotency key of everything that the operation does.
        key_reference, key_version, backend_id, backend_type, provider_reference: filled in as they are learnt.
    """

    __slots__ = (
        "_principal",
        "_started",
        "backend_id",
        "backend_type",
        "key_name",
        "key_reference",
        "key_version",
        "occurred_at",
        "operation_id",
        "operation_type",
        "provider_reference",
    )

    def __init__(self, operation_type: OperationType, key_reference: str, principal: str) -> None:
        self.operation_id = uuid.uuid4()
        self.operation_type = operation_type
        self.key_reference = key_reference
        self.key_name = named_key(key_reference)
        self.key_version: int | None = None
        self.backend_id: str | None = None
        self.backend_type: str | None = None
        self.provider_reference: str | None = None
        self.occurred_at = _now_us()
        self._principal = principal
        self._started = time.perf_counter_ns()

    @property
    def name(self) -> str:
        """What errors call it."""
        return "create" if self.operation_type is OperationType.KEY_GENERATION else self.operation_type.value.lower()

    @property
    def duration_us(self) -> int:
        """Microseconds since it began."""
        return (time.perf_counter_ns() - self._started) // _MICROSECONDS

    def success(self) -> AuditEntry:
        """Return the record of its success."""
        return self._entry(OperationStatus.SUCCESS, None)

    def failure(self, error: Exception) -> AuditEntry:
        """Return the record of its failure. What the error refers to is what failed."""
        if isinstance(error, KeyclaveError) and error.provider_reference is not None:
            self.provider_reference = error.provider_reference
        return self._entry(OperationStatus.FAILED, failure_text(error))

    def _entry(self, status: OperationStatus, error_message: str | None) -> AuditEntry:
        return AuditEntry(
            operation_id=self.operation_id,
            operation_type=self.operation_type,
            key_reference=self.key_reference,
            key_version=self.key_version,
            occurred_at=min(self.occurred_at, _now_us()),  # the clock may have been set back since
            principal=self._principal,
            status=status,
            error_message=error_message,
            duration_us=self.duration_us,
            provider_reference=self.provider_reference,
            backend_id=self.backend_id,
            backend_type=self.backend_type,
        )


def _now_us() -> int:
    return time.time_ns() // _MICROSECONDS


def failure_text(error: Exception) -> str:
    """Return what the audit log says of an error: its class, and its text where Keyclave made it."""
    name = type(error).__name__
    if not isinstance(error, KeyclaveError) or looks_like_key_material(error.message):
        return name
    return f"{name}: {error.message}"[:1024]


class Recorder:
    """Makes operations, and records the failed ones."""

    def __init__(self, audit: AuditLog, principal: str) -> None:
        self._audit = audit
        self._principal = principal

    def part(self, operation_type: OperationType) -> Operation:
        """Return an operation that is a part of another one: where it fails, so does that, which is recorded."""
        return Operation(operation_type, name_reference(None), self._principal)

    @contextmanager
    def operation(self, operation_type: OperationType, key_reference: str) -> Iterator[Operation]:
        """Run the body as one operation. The body records its success; a failure is recorded here.

        Raises:
            AuditUnavailable: the operation failed, and not even that could be recorded.
        """
        operation = Operation(operation_type, key_reference, self._principal)
        try:
            yield operation
        except Exception as error:
            if isinstance(error, KeyclaveError):
                error.at(operation=operation.name, backend_id=operation.backend_id, key_name=operation.key_name)
            if not isinstance(error, (AuditUnavailable, CommitUnknown, StaleKey)):
                # Of those the log has already said what it could; what may have succeeded has not failed.
                self._audit.append(operation.failure(error))
            raise
