"""The records that hooks take and return: small, frozen, typed.

Bytes are raw bytes, never text encodings. Public keys are DER SubjectPublicKeyInfo (RFC 5280), private keys
PKCS#8 (RFC 5958), and both only where a field says so. Times are aware datetimes in UTC.
"""

from keyclave.plugin.records.backends import (
    AlgorithmSupport,
    BackendContext,
    BackendDescription,
    DetectionEvidence,
    HealthReport,
    Host,
    Location,
    PermissionReport,
    SchemeSupport,
    SignatureEncoding,
    SigningInput,
)
from keyclave.plugin.records.base import Record
from keyclave.plugin.records.keys import (
    AdoptKeyRequest,
    Attestation,
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    ForeignKey,
    ForeignKeyPage,
    KeyLabel,
    KeyPage,
    KeyReference,
    PublicKey,
)
from keyclave.plugin.records.moves import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    ImportKeyRequest,
    ImportTicket,
    WrappedKey,
)
from keyclave.plugin.records.work import (
    Decrypted,
    Encrypted,
    Mac,
    Signed,
)

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
    "PermissionReport",
    "PublicKey",
    "Record",
    "SchemeSupport",
    "SignatureEncoding",
    "Signed",
    "SigningInput",
    "WrappedKey",
]
