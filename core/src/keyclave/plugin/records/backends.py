"""What a backend is, what it can do, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from keyclave.models.levels import AuthenticationMethod, AvailabilityStatus, EnvironmentType, SecurityLevel
from keyclave.plugin.records.base import Record

__all__ = [
    "AlgorithmSupport",
    "BackendContext",
    "BackendDescription",
    "DetectionEvidence",
    "HealthReport",
    "Host",
    "Location",
    "PermissionReport",
    "SchemeSupport",
    "SignatureEncoding",
    "SigningInput",
]


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


class SchemeSupport(Record, frozen=True, kw_only=True):
    """How a backend signs with one scheme.

    Attributes:
        scheme: a signature scheme of `keyclave.models.algorithms`.
        input: what ``sign`` wants as data.
        encoding: what ``sign`` returns.
        min_input: the shortest data that ``sign`` takes, in bytes; a service may refuse an empty message.
        max_input: the longest data that ``sign`` takes, in bytes; ``None`` is without limit.
    """

    scheme: str
    input: SigningInput
    encoding: SignatureEncoding
    min_input: int = 0
    max_input: int | None = None


class AlgorithmSupport(Record, frozen=True, kw_only=True):
    """What a backend can do with keys of one algorithm.

    Attributes:
        algorithm: a name of `keyclave.models.algorithms`.
        schemes: how it signs with them; empty for keys that do not sign.
        min_plaintext: the shortest plaintext that ``encrypt`` takes, in bytes; a service may refuse an empty one.
        max_plaintext: the longest plaintext that ``encrypt`` takes, in bytes; ``None`` is without limit.
        binds_aad: whether ``encrypt`` binds associated data.
        ciphertext_form: the name of the form of what ``encrypt`` returns. Backends that name the same one decrypt
            each other's ciphertexts under the same key; ``None`` promises nothing.
        wrap_methods: by which methods ``wrap_key`` releases an exportable key, the preferred first.
        import_methods: by which methods ``begin_import`` takes a wrapped key, the preferred first.
    """

    algorithm: str
    schemes: tuple[SchemeSupport, ...] = ()
    min_plaintext: int = 0
    max_plaintext: int | None = None
    binds_aad: bool = False
    ciphertext_form: str | None = None
    wrap_methods: tuple[str, ...] = ()
    import_methods: tuple[str, ...] = ()


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
        credential_source: where the credential came from, in a sentence without secrets, such as "the role
            prod-signer of this instance, from the instance metadata service"; ``None`` where it needs no words.
        credential_named: whether the settings name that source, rather than that it was found. Production and staging
            take an access key only then.
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
    credential_source: str | None = None
    credential_named: bool = False
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


class PermissionReport(Record, frozen=True, kw_only=True):
    """What the identity that the backend was opened with lacks to do all that its settings let it do.

    Attributes:
        missing: the single permissions that it lacks, in the provider's own words, such as ``kms:Sign``.
        unchecked: those of which that cannot be told without doing what they permit.
    """

    missing: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


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
        network: whether it may ask a fixed address of the network; never while Keyclave opens.
    """

    environment: Mapping[str, str]
    root: Path
    timeout: float
    network: bool = False


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
