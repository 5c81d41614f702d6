"""The author's API: a plugin imports `keyclave.plugin`, `keyclave.models`, `keyclave.errors` and `keyclave.crypto`.

A plugin is one distribution with one entry point in the group ``keyclave.backends``::

    [project.entry-points."keyclave.backends"]
    acme-hsm = "keyclave_acme_hsm.plugin"

The module it names implements the hooks of `Provider`, and of `Detection` if it can; the object that its
``open_backend`` returns implements those hooks of `KeyStorage`, `Signing` and `Health` that the backend can do.
"""

from keyclave.plugin.contract import CONTRACTS
from keyclave.plugin.hookspecs import Detection, Health, KeyStorage, Provider, Signing, hookimpl
from keyclave.plugin.records import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    AdoptKeyRequest,
    AlgorithmSupport,
    Attestation,
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    DetectionEvidence,
    Encrypted,
    ForeignKey,
    ForeignKeyPage,
    HealthReport,
    Host,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    Location,
    Mac,
    PermissionReport,
    PublicKey,
    Record,
    SchemeSupport,
    SignatureEncoding,
    Signed,
    SigningInput,
    WrappedKey,
)

__all__ = [
    "CONTRACTS",
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
    "Detection",
    "DetectionEvidence",
    "Encrypted",
    "ForeignKey",
    "ForeignKeyPage",
    "Health",
    "HealthReport",
    "Host",
    "ImportKeyRequest",
    "ImportTicket",
    "KeyLabel",
    "KeyPage",
    "KeyReference",
    "KeyStorage",
    "Location",
    "Mac",
    "PermissionReport",
    "Provider",
    "PublicKey",
    "Record",
    "SchemeSupport",
    "SignatureEncoding",
    "Signed",
    "Signing",
    "SigningInput",
    "WrappedKey",
    "hookimpl",
]
