"""Keys on their way from one backend to another, wrapped."""

from __future__ import annotations

from datetime import datetime

from keyclave.plugin.records.base import Record
from keyclave.plugin.records.keys import KeyLabel

__all__ = ["RSA_AES_KEY_WRAP_SHA1", "RSA_AES_KEY_WRAP_SHA256", "ImportKeyRequest", "ImportTicket", "WrappedKey"]

RSA_AES_KEY_WRAP_SHA256 = "RSA_AES_KEY_WRAP_SHA256"
"""RSA-OAEP (SHA-256, MGF1 with SHA-256, empty label) of a fresh AES-256 key, followed by AES-KWP (RFC 5649) of
the PKCS#8 private key or of the raw AES key: CKM_RSA_AES_KEY_WRAP of PKCS#11 2.40, section 2.1.21."""
RSA_AES_KEY_WRAP_SHA1 = "RSA_AES_KEY_WRAP_SHA1"
"""The same with SHA-1 in both places of RSA-OAEP, for tokens and services that have no other: SoftHSM before 2.7 and
Azure's BYOK. OAEP does not rest on the collision resistance that SHA-1 has lost (RFC 8017, appendix B.1 still
recommends it there); use it only where the other side cannot do better."""


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
