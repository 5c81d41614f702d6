"""The audit record: a closed, typed set of fields, and its canonical bytes.

Redaction is by construction: what is not a field here cannot be logged. The bytes are JSON with the members
sorted by name, no white space, integers and strings only and control characters escaped (the form of RFC 8785);
they are hashed, stored and read back verbatim.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta
from pydantic import TypeAdapter, ValidationError

from keyclave.errors import IntegrityError, InvalidArgument
from keyclave.models.backend import BackendId
from keyclave.models.environment import BackendType
from keyclave.models.operation import OperationStatus, OperationType, looks_like_key_material

__all__ = [
    "MAX_RECORD_SIZE",
    "AuditEntry",
    "AuditRecord",
    "decode_record",
    "encode_entry",
]

MAX_RECORD_SIZE = 8192
"""The longest record, in bytes. The limits of the fields keep every record below it, however it is escaped."""

_MAX_ERROR = 512
_MAX_PROVIDER_REFERENCE = 128
_MAX_DURATION = 10**15
_END_OF_TIME = 253_402_300_799_999_999  # the last microsecond of the year 9999

_Identifier = Annotated[str, Meta(min_length=1, max_length=256)]
_Reference = Annotated[str, Meta(min_length=1, max_length=300)]
_Microseconds = Annotated[int, Meta(ge=0, le=_MAX_DURATION)]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One operation, as its caller hands it to the log. The fields are in sorted order: see `encode_entry`.

    Attributes:
        backend_id, backend_type: the backend instance and its plugin; ``None`` where none was involved.
        duration_us: how long the operation took, microseconds.
        error_message: why it failed. Text from elsewhere: it is trimmed to 512 characters, and withheld if it
            looks like key material (FR-013).
        key_reference: the key id; for an operation without a stored key what was asked for, as
            ``name:<key name>`` or ``backend:<backend id>``. 1 to 300 characters.
        key_version: the version used, from 1; ``None`` where there is none.
        occurred_at: when, in microseconds since 1970 UTC, not in the future.
        operation_id: unique in the log.
        operation_type: what was done.
        principal: who asked, 1 to 256 characters.
        provider_reference: the provider's own reference, such as a cloud's request id, trimmed to 128 characters.
        status: how it ended; a failed operation has an error message.
    """

    backend_id: _Identifier | None = None
    backend_type: _Identifier | None = None
    duration_us: _Microseconds | None = None
    error_message: Annotated[str, Meta(min_length=1, max_length=_MAX_ERROR)] | None = None
    key_reference: _Reference
    key_version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    occurred_at: Annotated[int, Meta(ge=0, le=_END_OF_TIME)]
    operation_id: UUID
    operation_type: OperationType
    principal: _Identifier
    provider_reference: Annotated[str, Meta(min_length=1, max_length=_MAX_PROVIDER_REFERENCE)] | None = None
    status: OperationStatus


class AuditRecord(AuditEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation, checked: what a stored record holds.

    Attributes:
        v: the version of this format.
    """

    v: Literal[1] = 1


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditRecord).decode
_BACKEND_ID: TypeAdapter[str] = TypeAdapter(BackendId)
_BACKEND_TYPE: TypeAdapter[str] = TypeAdapter(BackendType)


def encode_entry(entry: AuditEntry) -> bytes:
    """Return the canonical bytes of the record of an operation, at most 8 KiB.

    Raises:
        InvalidArgument: a field is missing, of the wrong type or out of range, or the time is in the future.
            The message names the field and never its value.
    """
    if entry.error_message is not None or entry.provider_reference is not None:
        entry = _tidy(entry)
    try:
        record = msgspec.convert(entry, AuditRecord, from_attributes=True)
        data = _encode(record)
    except msgspec.ValidationError as error:
        problem = str(error).rpartition("$.")[2].rstrip("`") or "a field"
    except UnicodeEncodeError:
        problem = "a text"
    else:
        _check_rules(record)
        return data
    raise InvalidArgument(f"audit entry: {problem} is of the wrong type, too long or out of range")


def decode_record(data: bytes) -> AuditRecord:
    """Return the record that these bytes are.

    Raises:
        IntegrityError: they are not the canonical bytes of a record.
    """
    try:
        record = _decode(data) if len(data) <= MAX_RECORD_SIZE else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        record = None
    if record is None or _encode(record) != data:
        raise IntegrityError("an audit record is not in its canonical form")
    return record


def _check_rules(record: AuditRecord) -> None:
    _check_identifiers(record.principal, record.key_reference, record.backend_id, record.backend_type)
    if record.occurred_at > time.time_ns() // 1000:
        raise InvalidArgument("audit entry: occurred_at is in the future")
    if record.status is OperationStatus.FAILED and record.error_message is None:
        raise InvalidArgument("audit entry: error_message must be set for a failed operation")


@lru_cache(maxsize=1024)  # the same few principals and backends in every record
def _check_identifiers(principal: str, key_reference: str, backend_id: str | None, backend_type: str | None) -> None:
    for name, text in (("principal", principal), ("key_reference", key_reference)):
        if text != text.strip():
            raise InvalidArgument(f"audit entry: {name} begins or ends with white space")
    adapters = (("backend_id", backend_id, _BACKEND_ID), ("backend_type", backend_type, _BACKEND_TYPE))
    broken = [name for name, text, adapter in adapters if text is not None and not _matches(adapter, text)]
    if broken:
        raise InvalidArgument(f"audit entry: {broken[0]} does not have the form of one")


def _matches(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


def _tidy(entry: AuditEntry) -> AuditEntry:
    """Trim the texts that come from elsewhere, so that no backend can make a record impossible to write."""
    message = _trim(entry.error_message, 2 * _MAX_ERROR)  # looks beyond the cut: half a key is a secret too
    if isinstance(message, str) and looks_like_key_material(message):
        message = "withheld: the message looked as if it held key material"
    return msgspec.structs.replace(
        entry,
        error_message=_trim(message, _MAX_ERROR),
        provider_reference=_trim(entry.provider_reference, _MAX_PROVIDER_REFERENCE),
    )


def _trim(text: str | None, limit: int) -> str | None:
    if not isinstance(text, str):
        return text
    text = text[: 4 * limit].strip().encode("utf-8", "backslashreplace").decode()
    return text[:limit].strip() or None
