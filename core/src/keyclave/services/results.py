"""What the services return beside the models."""

from __future__ import annotations

from uuid import UUID

from keyclave.plugin.records import Record

__all__ = ["Candidate", "Selection", "SignResult"]


class SignResult(Record, frozen=True, kw_only=True):
    """A signature and where it came from.

    Attributes:
        signature: ECDSA as DER Ecdsa-Sig-Value (RFC 3279); RSA, Ed25519 and ML-DSA as their one raw form.
        scheme: the signature scheme.
        key_id: the key.
        version: the exact version that signed.
        backend_id: the backend instance that signed.
        audit_reference: where the audit record is found; ``None`` only where the settings turn auditing off.
        fallback: whether a standby in a weaker backend signed, because the active backend was unavailable.
    """

    signature: bytes
    scheme: str
    key_id: UUID
    version: int
    backend_id: str
    audit_reference: str | None
    fallback: bool = False


class Candidate(Record, frozen=True, kw_only=True):
    """A backend that was considered for a new key.

    Attributes:
        backend_id, backend_type: the instance and its plugin.
        accepted: whether it may take the key.
        reason: why, or why not, in a sentence.
    """

    backend_id: str
    backend_type: str
    accepted: bool
    reason: str


class Selection(Record, frozen=True, kw_only=True):
    """The choice of a backend.

    Attributes:
        chosen: the backend instance; ``None`` if no candidate may take the key.
        candidates: all that were considered, in order of preference.
    """

    chosen: str | None
    candidates: tuple[Candidate, ...]
