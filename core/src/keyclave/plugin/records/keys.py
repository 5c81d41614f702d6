"""Keys: by which names they go, and what becomes of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from keyclave.errors import InvalidArgument
from keyclave.plugin.records.base import Record

__all__ = [
    "AdoptKeyRequest",
    "Attestation",
    "CreateKeyRequest",
    "CreatedKey",
    "DestroyResult",
    "DestroyState",
    "ForeignKey",
    "ForeignKeyPage",
    "KeyLabel",
    "KeyPage",
    "KeyReference",
    "PublicKey",
]


class KeyLabel(Record, frozen=True, kw_only=True):
    """The deterministic name under which a backend keeps a key version.

    A retry or a recovery makes the same label again, and so finds what an interrupted call made.

    Attributes:
        instance_id: the Keyclave instance that the key belongs to.
        key_id: the key.
        version: the version, from 1.
        operation_id: the operation that made it.
    """

    instance_id: UUID
    key_id: UUID
    version: int
    operation_id: UUID

    def __str__(self) -> str:
        return f"keyclave:{self.instance_id.hex}:{self.key_id.hex}:{self.version}:{self.operation_id.hex}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the label that ``str`` gave; raise ``InvalidArgument`` for any other text.

        Examples:
            >>> label = KeyLabel(instance_id=UUID(int=1), key_id=UUID(int=2), version=3, operation_id=UUID(int=4))
            >>> KeyLabel.parse(str(label)) == label
            True
        """
        try:
            prefix, instance, key, version, operation = text.split(":")
            label = cls(
                instance_id=UUID(hex=instance),
                key_id=UUID(hex=key),
                version=int(version),
                operation_id=UUID(hex=operation),
            )
        except ValueError:
            raise InvalidArgument("not a Keyclave key label") from None
        if prefix != "keyclave" or label.version < 1 or str(label) != text:
            raise InvalidArgument("not a Keyclave key label")
        return label


class KeyReference(Record, frozen=True, kw_only=True):
    """One key version as its backend knows it.

    Attributes:
        label: the label that it was created or imported with.
        uri: the backend's own, complete address of this version, without secrets.
        algorithm: a name of `keyclave.models.algorithms`.
    """

    label: KeyLabel
    uri: str
    algorithm: str


class CreateKeyRequest(Record, frozen=True, kw_only=True):
    """What to create.

    Attributes:
        label: under which to keep it. A key with this label already there is returned, not made again.
        algorithm: a name of `keyclave.models.algorithms`.
        exportable: whether ``wrap_key`` may release it later, from an HSM too. A backend that cannot keep the promise
            either way refuses with ``CapabilityUnsupported``.
    """

    label: KeyLabel
    algorithm: str
    exportable: bool


class CreatedKey(Record, frozen=True, kw_only=True):
    """A key version that exists in the backend now.

    Attributes:
        reference: how to address it.
        public_key: DER SubjectPublicKeyInfo; ``None`` for a symmetric key.
        exportable: read back from the backend, not copied from the request.
        hsm_backed: whether the backend shows that it is kept in an HSM, exportable or not.
        evidence: what ``hsm_backed`` rests on, a sentence each.
        provider_reference: the provider's own reference to the call that made it, such as a request id.
    """

    reference: KeyReference
    public_key: bytes | None
    exportable: bool
    hsm_backed: bool
    evidence: tuple[str, ...] = ()
    provider_reference: str | None = None


class PublicKey(Record, frozen=True, kw_only=True):
    """A public key.

    Attributes:
        spki: DER SubjectPublicKeyInfo.
    """

    spki: bytes


class KeyPage(Record, frozen=True, kw_only=True):
    """Part of a list of keys.

    Attributes:
        keys: the keys of this page, of this Keyclave instance only.
        next_page: what to pass to ``list_keys`` for the next page; ``None`` on the last one.
    """

    keys: tuple[KeyReference, ...]
    next_page: str | None = None


class ForeignKey(Record, frozen=True, kw_only=True):
    """A key in the backend that no Keyclave made or adopted, and that could be adopted, now or once it is changed.

    Attributes:
        uri: the backend's own, complete address, without secrets; the address that it keeps when it is adopted.
        algorithm: a name of `keyclave.models.algorithms`, one that the backend describes.
        description: what else an operator needs to know it by, without secrets; and what must be changed first.
        public_key: DER SubjectPublicKeyInfo; ``None`` for a symmetric key, or where it is not known yet.
    """

    uri: str
    algorithm: str
    description: str
    public_key: bytes | None = None


class ForeignKeyPage(Record, frozen=True, kw_only=True):
    """Part of a list of foreign keys.

    Attributes:
        keys: the keys of this page.
        next_page: what to pass to ``list_foreign_keys`` for the next page; ``None`` on the last one.
    """

    keys: tuple[ForeignKey, ...]
    next_page: str | None = None


class AdoptKeyRequest(Record, frozen=True, kw_only=True):
    """Which foreign key to adopt.

    Attributes:
        label: under which to keep it from now on.
        uri: its address, as ``list_foreign_keys`` gave it.
        algorithm: its algorithm, as ``list_foreign_keys`` gave it.
    """

    label: KeyLabel
    uri: str
    algorithm: str


class DestroyState(StrEnum):
    """Whether a key is gone, or will be.

    Attributes:
        DESTROYED: it is gone.
        SCHEDULED: it will be, at the time that the backend names.
    """

    DESTROYED = "destroyed"
    SCHEDULED = "scheduled"


class DestroyResult(Record, frozen=True, kw_only=True):
    """What became of a key that was to be destroyed.

    Attributes:
        state: *destroyed*, or *scheduled* where the backend delays it.
        scheduled_for: when it will be gone, UTC; ``None`` when it is gone.
        provider_reference: the provider's own reference to the call.
    """

    state: DestroyState
    scheduled_for: datetime | None = None
    provider_reference: str | None = None


class Attestation(Record, frozen=True, kw_only=True):
    """Evidence by the backend's maker of how a key is kept.

    Attributes:
        format: the name of the statement's format.
        statement: the statement, in that format.
        certificates: DER certificates from the signer of the statement to its root.
    """

    format: str
    statement: bytes
    certificates: tuple[bytes, ...] = ()
