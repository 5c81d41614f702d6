"""What the state stores and returns: frozen records without key material."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from keyclave.models.key import KeyStatus
from keyclave.models.levels import SecurityLevel
from keyclave.models.rotation import RotationPolicy

__all__ = [
    "AuditHead",
    "AuditRow",
    "IntentKind",
    "IntentOutcome",
    "StoredFallback",
    "StoredIntent",
    "StoredKey",
    "StoredLease",
    "StoredVersion",
]

IntentKind = Literal["create", "adopt", "rotate", "revoke", "destroy", "cancel", "migrate", "revert", "retire"]
IntentOutcome = Literal["done", "undone"]


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key over all its versions.

    Attributes:
        key_id: the key.
        name: unique in the instance.
        algorithm: a name of `keyclave.models.algorithms`.
        owner_principal: who owns it.
        created_at: UTC.
        required_security_level: the lowest level that a backend must show to hold it.
        rotation_policy: when it is rotated.
        minimum_rotation_interval: no rotation earlier than this after the last one.
    """

    key_id: UUID
    name: str
    algorithm: str
    owner_principal: str
    created_at: datetime
    required_security_level: SecurityLevel
    rotation_policy: RotationPolicy
    minimum_rotation_interval: timedelta | None


class StoredVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a key, and where it is kept. All times are UTC.

    Attributes:
        key_id, version: which one; versions are 1, 2, 3 and so on.
        status: ACTIVE, PENDING, STANDBY, DEPRECATED or REVOKED.
        backend_id, backend_type: the backend instance that keeps it, and its plugin.
        label: the text of its `keyclave.plugin.KeyLabel`.
        provider_uri: the backend's own address of it.
        public_key: DER SubjectPublicKeyInfo; ``None`` for a symmetric key.
        exportable: whether its backend can release it, wrapped, as in `keyclave.plugin.CreatedKey`.
        hsm_backed: whether it is kept in an HSM.
        created_at: when it was created.
        last_rotation_at: the rotation that activated or deprecated it.
        next_rotation_at: when the next automatic rotation is due.
        not_destroy_before: kept at least until then.
        destroyed_at: when the backend destroyed it, or will have done so.
        validation_ends_at: until then a PENDING version signs beside the active one.
        own_algorithm: its algorithm, where that is not the one that the key was created with.
    """

    key_id: UUID
    version: int
    status: KeyStatus
    backend_id: str
    backend_type: str
    label: str
    provider_uri: str
    public_key: bytes | None
    exportable: bool
    hsm_backed: bool
    created_at: datetime
    last_rotation_at: datetime | None
    next_rotation_at: datetime | None
    not_destroy_before: datetime | None
    destroyed_at: datetime | None
    validation_ends_at: datetime | None = None
    own_algorithm: str | None = None


class StoredIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A change of several steps, written before its first side effect.

    Attributes:
        operation_id: unique.
        kind: what is being done.
        step: how far it is; the name is its writer's own.
        key_id, from_version, to_version: what it concerns.
        backend_id: where its side effects happen.
        label: the label under which the backend keeps what it makes.
        parameters: what else recovery needs, without secrets.
        principal: who asked.
        created_at, updated_at: UTC.
        outcome: ``None`` while it is open.
    """

    operation_id: UUID
    kind: IntentKind
    step: str
    key_id: UUID
    from_version: int | None
    to_version: int | None
    backend_id: str
    label: str | None
    parameters: dict[str, str]
    principal: str
    created_at: datetime
    updated_at: datetime
    outcome: IntentOutcome | None


class StoredFallback(msgspec.Struct, frozen=True, kw_only=True):
    """The last period in which standby versions signed for the keys of one backend.

    Attributes:
        backend_id: the backend that was unavailable.
        begun_at: UTC.
        ended_at: when the backend was seen to be back, UTC; ``None`` while it was not.
    """

    backend_id: str
    begun_at: datetime
    ended_at: datetime | None


class StoredLease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to work on something until a time, by the clock of the database.

    Attributes:
        resource: what is worked on.
        holder: who works on it.
        fencing: rises with every holder, and never falls.
        expires_at: UTC; in the past when it was given up.
    """

    resource: str
    holder: str
    fencing: int
    expires_at: datetime


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """Where the audit log ends.

    Attributes:
        sequence: the number of the last record; 0 in an empty log.
        hash: its chain hash; 32 zero bytes in an empty log.
    """

    sequence: int
    hash: bytes


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the audit log as the database keeps it.

    Attributes:
        sequence: its place in the log, from 1, without gaps.
        operation_id: unique in the log.
        occurred_at: microseconds since 1970 UTC.
        key_reference: the key that it concerns.
        record: the record's bytes.
        hash: the chain hash up to and with this record, 32 bytes.
    """

    sequence: int
    operation_id: UUID
    occurred_at: int
    key_reference: str
    record: bytes
    hash: bytes
