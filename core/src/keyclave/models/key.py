"""KeyHandle: one version of a key, by reference. It never holds key material."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from keyclave.models.algorithms import ALGORITHMS, KeyOperation, get_algorithm
from keyclave.models.backend import BackendId
from keyclave.models.base import Model, NonEmptyStr, UtcDatetime, Version, broken_rule, require
from keyclave.models.environment import BackendType

__all__ = [
    "KEY_NAME_PATTERN",
    "AlgorithmName",
    "KeyHandle",
    "KeyName",
    "KeySecurityProperties",
    "KeyStatus",
    "is_provider_uri",
]

KEY_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,127}$"
"""Lower case ASCII, so that no two names can be taken for one another, on any backend or file system."""

_URI_PATTERNS = {
    "software": re.compile(r"software:[0-9a-f]{32}"),
    "pkcs11-hsm": re.compile(r"pkcs11:[A-Za-z0-9%;=._~:@!$'()*+,&/?-]+"),
    "tpm": re.compile(r"tpm:[A-Za-z0-9:._-]+"),
    "os-keychain": re.compile(r"os-keychain:[A-Za-z0-9:._-]+"),
    "aws": re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+"),
    "azure": re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?/keys/[A-Za-z0-9-]+/[A-Za-z0-9]+"),
    "gcp": re.compile(
        r"projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/keyRings/[\w-]+/cryptoKeys/[\w-]+/cryptoKeyVersions/[0-9]+",
        re.ASCII,
    ),
    "k8s": re.compile(r"k8s:[a-z0-9.-]+/[a-z0-9.-]+"),
    "browser": re.compile(r"browser:[A-Za-z0-9:._-]+"),
}
_ANY_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


def is_provider_uri(uri: str, backend_type: str) -> bool:
    """Return whether this is an address that a backend of this type gives a key.

    Examples:
        >>> is_provider_uri("tpm:0x81000001", "tpm")
        True
    """
    return _URI_PATTERNS.get(backend_type, _ANY_URI).fullmatch(uri) is not None


class KeyStatus(StrEnum):
    """The life of a version: PENDING → ACTIVE → DEPRECATED, or STANDBY → DEPRECATED; REVOKED from any of them."""

    ACTIVE = "ACTIVE"
    PENDING = "PENDING"
    STANDBY = "STANDBY"
    DEPRECATED = "DEPRECATED"
    REVOKED = "REVOKED"


def _registered(name: str) -> str:
    if name not in ALGORITHMS:
        raise broken_rule("algorithm", "algorithm", f"must be one of {', '.join(ALGORITHMS)}")
    return name


AlgorithmName = Annotated[str, AfterValidator(_registered)]
KeyName = Annotated[str, StringConstraints(pattern=KEY_NAME_PATTERN)]


class KeySecurityProperties(Model):
    """How a key version is kept and what it may do.

    Attributes:
        exportable: whether it can leave the protection of hardware. One in an HSM cannot (FR-003, FR-004): if it is
            wrappable, it moves encrypted, and no policy but a recorded exception lets it move to a lower level.
        hsm_backed: whether it is kept in an HSM.
        wrappable: whether its backend can release it, wrapped, for a migration; from an HSM, that is no export.
        allowed_operations: what the key may be used for; not empty.
        minimum_rotation_interval: no rotation earlier than this after the last one.
    """

    exportable: bool
    hsm_backed: bool
    wrappable: bool = False
    allowed_operations: Annotated[tuple[KeyOperation, ...], Field(min_length=1)]
    minimum_rotation_interval: timedelta | None = None

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(not (self.hsm_backed and self.exportable), "FR-003", "exportable", "must be false in an HSM")
        require(
            self.minimum_rotation_interval is None or self.minimum_rotation_interval >= timedelta(0),
            "FR-022",
            "minimum_rotation_interval",
            "must not be negative",
        )
        return self


class KeyHandle(Model):
    """A reference to one version of a key.

    Attributes:
        key_id: the key, over all its versions.
        name: unique in the instance: lower case letters, digits, ``.``, ``_`` and ``-``, 1 to 128 characters.
        version: 1 for the first, one more at each rotation (FR-017).
        algorithm: a name of `keyclave.models.algorithms`.
        created_at: when this version was created, UTC.
        last_rotation_at: the last rotation of the key that concerned this version; ``None`` before the first.
        next_rotation_at: when the next automatic rotation is due (FR-022); ``None`` if it is off.
        provider_uri: the backend's own address of the key, in the form of its backend.
        security_properties: see there.
        backend_id, backend_type: the backend instance that keeps it, and its plugin.
        status: ACTIVE, PENDING, STANDBY, DEPRECATED or REVOKED.
        owner_principal: the principal that owns the key.
        not_destroy_before: kept at least until then; ``None`` where nothing was promised yet.
        destroyed_at: when the backend destroyed it, or will have done so; ``None`` while it exists.
        validation_ends_at: until then a PENDING version signs beside the active one, which it then follows; ``None``
            for every other.
    """

    key_id: UUID
    name: KeyName
    version: Version
    algorithm: AlgorithmName
    created_at: UtcDatetime
    last_rotation_at: UtcDatetime | None = None
    next_rotation_at: UtcDatetime | None = None
    provider_uri: NonEmptyStr
    security_properties: KeySecurityProperties
    backend_id: BackendId
    backend_type: BackendType
    status: KeyStatus = KeyStatus.ACTIVE
    owner_principal: NonEmptyStr
    not_destroy_before: UtcDatetime | None = None
    destroyed_at: UtcDatetime | None = None
    validation_ends_at: UtcDatetime | None = None

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        require(
            self.status is not KeyStatus.DEPRECATED or self.last_rotation_at is not None,
            "FR-017",
            "last_rotation_at",
            "must be set for a deprecated version",
        )
        require(
            self.last_rotation_at is None or self.last_rotation_at >= self.created_at,
            "timestamps",
            "last_rotation_at",
            "must not be before created_at",
        )
        require(
            self.next_rotation_at is None or self.next_rotation_at > (self.last_rotation_at or self.created_at),
            "FR-022",
            "next_rotation_at",
            "must be after the last rotation",
        )
        require(
            self.validation_ends_at is None or self.status is KeyStatus.PENDING,
            "FR-017",
            "validation_ends_at",
            "must be set for a pending version only",
        )
        require(
            is_provider_uri(self.provider_uri, self.backend_type),
            "provider-uri",
            "provider_uri",
            f"does not have the form of a {self.backend_type} key",
        )
        allowed = get_algorithm(self.algorithm).operations
        require(
            set(self.security_properties.allowed_operations) <= set(allowed),
            "algorithm",
            "allowed_operations",
            f"must be among {', '.join(allowed)} for {self.algorithm}",
        )
        return self
