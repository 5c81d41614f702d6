"""Records as operations of the domain, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import ValidationError

from keyclave.audit.record import AuditEntry
from keyclave.errors import IntegrityError, InvalidArgument
from keyclave.models.operation import STORED, CryptographicOperation

__all__ = ["audit_reference", "entry_of", "operation_of", "to_microseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def audit_reference(instance_id: UUID, operation_id: UUID) -> str:
    """Return the reference under which the record of an operation is found again."""
    return f"urn:keyclave:audit:{instance_id}:{operation_id}"


def to_microseconds(moment: datetime, name: str = "time") -> int:
    """Return an aware time as microseconds since 1970 UTC.

    Raises:
        InvalidArgument: it has no time zone; the message calls it ``name``.
    """
    if moment.tzinfo is None:
        raise InvalidArgument(f"{name} needs a time zone")
    return (moment - _EPOCH) // _MICROSECOND


def operation_of(entry: AuditEntry, instance_id: UUID) -> CryptographicOperation:
    """Return the operation that a stored record tells of.

    Raises:
        IntegrityError: the record breaks a rule of `CryptographicOperation`.
    """
    fields = {
        "operation_id": entry.operation_id,
        "operation_type": entry.operation_type,
        "key_handle_reference": entry.key_reference,
        "key_version": entry.key_version,
        "timestamp": _EPOCH + entry.occurred_at * _MICROSECOND,
        "requesting_principal": entry.principal,
        "status": entry.status,
        "error_message": entry.error_message,
        "duration": None if entry.duration_us is None else entry.duration_us * _MICROSECOND,
        "audit_trail_reference": audit_reference(instance_id, entry.operation_id),
        "provider_reference": entry.provider_reference,
        "backend_id": entry.backend_id,
        "backend_type": entry.backend_type,
    }
    try:
        return CryptographicOperation.model_validate(fields, context=STORED)
    except ValidationError:
        pass
    raise IntegrityError(f"the audit record of operation {entry.operation_id} breaks a rule of its model")


def entry_of(operation: CryptographicOperation) -> AuditEntry:
    """Return what the log keeps of an operation: all of it but the reference, which is made from the id."""
    return AuditEntry(
        backend_id=operation.backend_id,
        backend_type=operation.backend_type,
        duration_us=None if operation.duration is None else operation.duration // _MICROSECOND,
        error_message=operation.error_message,
        key_reference=operation.key_handle_reference,
        key_version=operation.key_version,
        occurred_at=to_microseconds(operation.timestamp),
        operation_id=operation.operation_id,
        operation_type=operation.operation_type,
        principal=operation.requesting_principal,
        provider_reference=operation.provider_reference,
        status=operation.status,
    )
