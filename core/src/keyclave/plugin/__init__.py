"""The author's API: a plugin imports `keyclave.plugin`, `keyclave.models`, `keyclave.errors` and `keyclave.crypto`.

A plugin is one distribution with one entry point in the group ``keyclave.backends``::

    [project.entry-points."keyclave.backends"]
    acme-hsm = "keyclave_acme_hsm.plugin"

The module it names implements the hooks of `Provider`, and of `Detection` if it can; the object that its
``open_backend`` returns implements those hooks of `KeyStorage`, `Signing` and `Health` that the backend can do.
"""

from keyclave.plugin.hookspecs import Detection, Health, KeyStorage, Provider, Signing, hookimpl
from keyclave.plugin.records import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
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
    HealthReport,
    Host,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    Location,
    Mac,
    PublicKey,
    Record,
    SchemeSupport,
    SignatureEncoding,
    Signed,
    SigningInput,
    WrappedKey,
)

CONTRACT = (1, 1)
"""The version of this contract: hooks and records. A new hook or field raises the second number, and a plugin
made for an older one still works; anything else raises the first."""

__all__ = [
    "CONTRACT",
    "RSA_AES_KEY_WRAP_SHA1",
    "RSA_AES_KEY_WRAP_SHA256",
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
