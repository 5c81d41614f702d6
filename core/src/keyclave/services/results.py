"""What the services return beside the models."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from keyclave.models import KeyHandle, KeyMigrationRecord
from keyclave.models.levels import EnvironmentType
from keyclave.plugin.records import Record

__all__ = [
    "Candidate",
    "Detected",
    "DetectionResult",
    "DueReport",
    "MigrationVerification",
    "MissingPlugin",
    "RunningFallback",
    "Selection",
    "SignResult",
    "UnusableStandby",
    "VersionSignature",
]


class VersionSignature(Record, frozen=True, kw_only=True):
    """The signature of one version over the same data, made beside another one.

    Attributes:
        signature, scheme, version, backend_id, audit_reference: as in `SignResult`.
    """

    signature: bytes
    scheme: str
    version: int
    backend_id: str
    audit_reference: str | None


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
        successor: during a rotation's validation period the signature of the version that is to follow (FR-017).
            ``None`` outside of it, for a caller that asked for one version, beside a standby, and for a digest that
            the scheme of the successor does not sign.
    """

    signature: bytes
    scheme: str
    key_id: UUID
    version: int
    backend_id: str
    audit_reference: str | None
    fallback: bool = False
    successor: VersionSignature | None = None


class RunningFallback(Record, frozen=True, kw_only=True):
    """A fallback that is under way: standbys sign for the keys of a backend, or did as long as they may (FR-024).

    Attributes:
        backend_id: the backend that is away.
        begun_at: since when, UTC.
        ends_at: when standbys sign no more though the backend is still away; ``None`` without such a limit.
    """

    backend_id: str
    begun_at: datetime
    ends_at: datetime | None


class UnusableStandby(Record, frozen=True, kw_only=True):
    """A standby version that could not sign if the backend of the active version were away (FR-024).

    Attributes:
        name: of the key.
        version: the standby version.
        backend_id: its backend.
        reason: why it could not.
    """

    name: str
    version: int
    backend_id: str
    reason: str


class DueReport(Record, frozen=True, kw_only=True):
    """What was done because it was due.

    Attributes:
        rotated: the new versions, pending or active, and the new standbys.
        recovered: how many interrupted changes were finished or undone, and validation periods ended.
        destroyed: the versions that were destroyed, or will be on the date that they tell.
        failed: the name of each key with which it did not work, and why.
        suspended: why nothing is destroyed by its age at present; ``None`` while it may be.
    """

    rotated: tuple[KeyHandle, ...]
    recovered: int
    destroyed: tuple[KeyHandle, ...]
    failed: tuple[tuple[str, str], ...]
    suspended: str | None


class MigrationVerification(Record, frozen=True, kw_only=True):
    """A migration that was proven again (FR-012).

    Attributes:
        migration: its record.
        looks: what was looked at and was in order, a sentence each.
    """

    migration: KeyMigrationRecord
    looks: tuple[str, ...]


class Candidate(Record, frozen=True, kw_only=True):
    """A backend that was considered for a new key.

    Attributes:
        backend_id, backend_type: the instance and its plugin.
        accepted: whether it may take the key.
        reason: why, or why not, in a sentence.
        looks: what was looked at before that and was in order, a sentence each.
        is_away: whether it is refused because it is UNAVAILABLE or could not be opened, which may pass.
    """

    backend_id: str
    backend_type: str
    accepted: bool
    reason: str
    looks: tuple[str, ...] = ()
    is_away: bool = False


class Selection(Record, frozen=True, kw_only=True):
    """The choice of a backend.

    Attributes:
        chosen: the backend instance; ``None`` if no candidate may take the key.
        candidates: all that were considered, in order of preference.
    """

    chosen: str | None
    candidates: tuple[Candidate, ...]


class Detected(Record, frozen=True, kw_only=True):
    """What one detector saw of the machine.

    Attributes:
        source: the plugin that saw it, or one of Keyclave's own detectors, such as ``keyclave.aws``.
        platform: where we run, or what there is.
        backend_type: the plugin that serves it; ``None`` if there is none.
        environment_type: the environment whose rules it implies.
        confidence: how sure it is, 0 to 1.
        observations: what was seen, a sentence each.
        seconds: how long it took to see.
        cached: whether a part of it was seen earlier.
    """

    source: str
    platform: str
    backend_type: str | None
    environment_type: EnvironmentType
    confidence: float
    observations: tuple[str, ...]
    seconds: float
    cached: bool = False


class MissingPlugin(Record, frozen=True, kw_only=True):
    """A plugin that serves a platform that was detected, and is not installed.

    Attributes:
        name: the plugin.
        platform: what it serves.
        distribution: what to install.
    """

    name: str
    platform: str
    distribution: str


class DetectionResult(Record, frozen=True, kw_only=True):
    """Where we run, and what shows it (FR-002).

    Attributes:
        environment_type: the strictest environment that the evidence implies; local where it implies none.
        backend_type: the plugin that suits best what was seen.
        evidence: all that was seen.
        missing: plugins to install.
        warnings: what somebody should know, a sentence each.
        network: whether the network was asked, now or not long ago.
        seconds: how long it took in all.
    """

    environment_type: EnvironmentType
    backend_type: str
    evidence: tuple[Detected, ...]
    missing: tuple[MissingPlugin, ...]
    warnings: tuple[str, ...]
    network: bool
    seconds: float
