"""The records that hooks take and return: small, frozen, typed.

Bytes are raw bytes, never text encodings. Public keys are DER SubjectPublicKeyInfo (RFC 5280), private keys
PKCS#8 (RFC 5958), and both only where a field says so. Times are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self
from uuid import UUID

import msgspec

from keyclave.errors import InvalidArgument
from keyclave.models.levels import AuthenticationMethod, AvailabilityStatus, EnvironmentType, SecurityLevel

__all__ = [
    "RSA_AES_KEY_WRAP_SHA1",
    "RSA_AES_KEY_WRAP_SHA256",
    "AdoptKeyRequest",
    "AlgorithmSupport",
    "Attestation",
    "BackendContext",
    "BackendDescription",
    "CreateKeyRequest",
    "CreatedKey",
    "Decrypted",
    "DestroyResult",
    "DestroyState",
    "DetectionEvidence",
    "Encrypted",
    "ForeignKey",
    "ForeignKeyPage",
    "HealthReport",
    "Host",
    "ImportKeyRequest",
    "ImportTicket",
    "KeyLabel",
    "KeyPage",
    "KeyReference",
    "Location",
    "Mac",
    "PublicKey",
    "Record",
    "SchemeSupport",
    "SignatureEncoding",
    "Signed",
    "SigningInput",
    "WrappedKey",
]

RSA_AES_KEY_WRAP_SHA256 = "RSA_AES_KEY_WRAP_SHA256"
"""RSA-OAEP (SHA-256, MGF1 with SHA-256, empty label) of a fresh AES-256 key, followed by AES-KWP (RFC 5649) of
the PKCS#8 private key or of the raw AES key: CKM_RSA_AES_KEY_WRAP of PKCS#11 2.40, section 2.1.21."""
RSA_AES_KEY_WRAP_SHA1 = "RSA_AES_KEY_WRAP_SHA1"
"""The same with SHA-1 in both places of RSA-OAEP, for tokens and services that have no other: SoftHSM before 2.7 and
Azure's BYOK. OAEP does not rest on the collision resistance that SHA-1 has lost (RFC 8017, appendix B.1 still
recommends it there); use it only where the other side cannot do better."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records."""


class Location(StrEnum):
    """Where the backend computes; it decides what the core guards against.

    Attributes:
        IN_PROCESS: in the memory of this process.
        DEVICE: in a device of this machine.
        REMOTE: in a service that is reached over a network.
    """

    IN_PROCESS = "in_process"
    DEVICE = "device"
    REMOTE = "remote"


class SigningInput(StrEnum):
    """What a backend signs for a scheme.

    Attributes:
        MESSAGE: the message itself, which it hashes.
        DIGEST: its digest, which the core made with the scheme's hash function.
    """

    MESSAGE = "message"
    DIGEST = "digest"


class SignatureEncoding(StrEnum):
    """How a backend encodes a signature.

    Attributes:
        DER: Ecdsa-Sig-Value (RFC 3279).
        P1363: r and s side by side, each padded to the curve's size.
        RAW: the one encoding that RSA, Ed25519 and ML-DSA have.
    """

    DER = "der"
    P1363 = "p1363"
    RAW = "raw"


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
        exportable: whether ``wrap_key`` may release it later. A backend that cannot keep the promise
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
        hsm_backed: whether the backend shows that it is kept in an HSM.
        evidence: what ``hsm_backed`` rests on, a sentence each.
    """

    reference: KeyReference
    public_key: bytes | None
    exportable: bool
    hsm_backed: bool
    evidence: tuple[str, ...] = ()


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
    """

    state: DestroyState
    scheduled_for: datetime | None = None


class ImportKeyRequest(Record, frozen=True, kw_only=True):
    """What is about to be imported.

    Attributes:
        label: under which to keep it.
        algorithm: a name of `keyclave.models.algorithms`.
        exportable: whether ``wrap_key`` may release it later.
        method: how the key will be wrapped, where its source has no choice; the backend refuses with
            ``CapabilityUnsupported`` what it cannot unwrap. ``None`` leaves it to the backend.
    """

    label: KeyLabel
    algorithm: str
    exportable: bool
    method: str | None = None


class ImportTicket(Record, frozen=True, kw_only=True):
    """Permission to import one key, once.

    Attributes:
        ticket_id: the backend's own name of the ticket, without secrets.
        request: what may be imported with it.
        method: how the key must be wrapped, such as ``RSA_AES_KEY_WRAP_SHA256``.
        wrapping_public_key: DER SubjectPublicKeyInfo of the key to wrap it under.
        expires_at: after this the ticket is refused, UTC.
    """

    ticket_id: str
    request: ImportKeyRequest
    method: str
    wrapping_public_key: bytes
    expires_at: datetime


class WrappedKey(Record, frozen=True, kw_only=True):
    """A private or secret key, encrypted.

    Attributes:
        method: how it was wrapped, such as ``RSA_AES_KEY_WRAP_SHA256``.
        blob: the wrapped bytes.
    """

    method: str
    blob: bytes


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


class Signed(Record, frozen=True, kw_only=True):
    """A signature.

    Attributes:
        signature: in the encoding that ``describe()`` declares for the scheme.
        provider_reference: the provider's own reference to the call, such as a request id.
    """

    signature: bytes
    provider_reference: str | None = None


class Encrypted(Record, frozen=True, kw_only=True):
    """A ciphertext that the same backend can decrypt, including whatever nonce and tag it needs.

    Attributes:
        ciphertext: the backend's own format.
        provider_reference: the provider's own reference to the call.
    """

    ciphertext: bytes
    provider_reference: str | None = None


class Decrypted(Record, frozen=True, kw_only=True):
    """A plaintext. Its representation shows no content.

    Attributes:
        plaintext: the decrypted bytes.
        provider_reference: the provider's own reference to the call.
    """

    plaintext: bytes
    provider_reference: str | None = None

    def __repr__(self) -> str:
        return f"Decrypted(plaintext=<{len(self.plaintext)} bytes>)"


class Mac(Record, frozen=True, kw_only=True):
    """A message authentication code.

    Attributes:
        tag: the code.
        provider_reference: the provider's own reference to the call.
    """

    tag: bytes
    provider_reference: str | None = None


class SchemeSupport(Record, frozen=True, kw_only=True):
    """How a backend signs with one scheme.

    Attributes:
        scheme: a signature scheme of `keyclave.models.algorithms`.
        input: what ``sign`` wants as data.
        encoding: what ``sign`` returns.
        max_input: the longest data that ``sign`` takes, in bytes; ``None`` is without limit.
    """

    scheme: str
    input: SigningInput
    encoding: SignatureEncoding
    max_input: int | None = None


class AlgorithmSupport(Record, frozen=True, kw_only=True):
    """What a backend can do with keys of one algorithm.

    Attributes:
        algorithm: a name of `keyclave.models.algorithms`.
        schemes: how it signs with them; empty for keys that do not sign.
        max_plaintext: the longest plaintext that ``encrypt`` takes, in bytes; ``None`` is without limit.
        binds_aad: whether ``encrypt`` binds associated data.
    """

    algorithm: str
    schemes: tuple[SchemeSupport, ...] = ()
    max_plaintext: int | None = None
    binds_aad: bool = False


class BackendDescription(Record, frozen=True, kw_only=True):
    """What an opened backend is and can do.

    Attributes:
        contract: the contract version that the plugin was made for, ``YYYY.MM``: one of `keyclave.plugin.CONTRACTS`.
            Write it out; a plugin does not change with the keyclave that it is installed beside.
        provider_type: the name of its entry point.
        security_level: what it can show, never what its settings claim.
        evidence: what the level rests on, a sentence each.
        simulator: whether it is a simulator or emulator of the real thing.
        authentication_method: how it proves this process's identity to the backend.
        location: where it computes.
        connection_uri: where it is, without secrets; ``None`` for one in this process.
        algorithms: what it can do, an entry for each algorithm.
    """

    contract: str
    provider_type: str
    security_level: SecurityLevel
    evidence: tuple[str, ...]
    simulator: bool = False
    authentication_method: AuthenticationMethod
    location: Location
    connection_uri: str | None = None
    algorithms: tuple[AlgorithmSupport, ...]


class HealthReport(Record, frozen=True, kw_only=True):
    """How a backend is.

    Attributes:
        status: AVAILABLE, DEGRADED or UNAVAILABLE.
        detail: what was seen, without secrets.
    """

    status: AvailabilityStatus
    detail: str = ""


class BackendContext(Record, frozen=True, kw_only=True):
    """What the core tells a backend when it opens it.

    Attributes:
        backend_id: the name of this configured instance.
        instance_id: the Keyclave instance, the first part of every label.
        environment_type: where we run.
        data_directory: a directory of mode 0700 that belongs to this backend alone; it may not exist yet.
        accept_simulator: whether the settings let a simulator or emulator stand for the real thing.
    """

    backend_id: str
    instance_id: UUID
    environment_type: EnvironmentType
    data_directory: Path
    accept_simulator: bool = False


class Host(Record, frozen=True, kw_only=True):
    """What a detection may look at.

    Attributes:
        environment: the environment variables.
        root: the directory that stands for ``/``, so that files can be read below it.
        timeout: the seconds that the detection may take.
    """

    environment: Mapping[str, str]
    root: Path
    timeout: float


class DetectionEvidence(Record, frozen=True, kw_only=True):
    """What shows that we run on a platform.

    Attributes:
        platform: its name, such as ``aws``.
        backend_type: the plugin that serves it; ``None`` if there is none.
        environment_type: the environment whose rules it implies; evidence only tightens policy.
        confidence: 0 to 1.
        observations: what was seen, a sentence each, without secrets.
    """

    platform: str
    backend_type: str | None
    environment_type: EnvironmentType
    confidence: float
    observations: tuple[str, ...]
