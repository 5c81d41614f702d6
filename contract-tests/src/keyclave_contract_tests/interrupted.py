"""Other processes that are killed in the middle of a change, as a power cut would end them."""

from __future__ import annotations

import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave.plugin import KeyLabel, KeyReference

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.children import Work
from keyclave_contract_tests.importing import wrapped
from keyclave_contract_tests.subject import Subject

__all__ = [
    "create_and_destroy",
    "create_slowly",
    "import_slowly",
    "killed_within",
    "pkcs8_of",
    "spki_of",
]

_SECONDS = 60.0
_STEP = b"."


def killed_within(bench: Bench, seconds: float, work: Work, *arguments: object, after: int = 1) -> int:
    """Let a process work, kill it at a random moment once it is under way, and return how many steps it reported.

    Args:
        bench: of the run.
        seconds: it is killed this long after the step, at most.
        work: takes a `Subject`, the arguments, and the path of a file, to which it appends a byte for each step.
        arguments: of the work.
        after: the step, counted from 1.
    """
    progress = bench.directory / f"progress-{bench.random.getrandbits(64):016x}"
    progress.touch()
    with bench.child(work, *arguments, str(progress)) as child:
        child.go()
        deadline = time.monotonic() + _SECONDS
        while progress.stat().st_size < after and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(bench.random.uniform(0, seconds))
        child.kill()
    return progress.stat().st_size


def create_and_destroy(subject: Subject, labels: list[KeyLabel], algorithm: str, progress: str) -> None:
    """Create a key for each label, and destroy each of them once the next one is there."""
    before: KeyReference | None = None
    with Path(progress).open("ab", buffering=0) as steps:
        for label in labels:
            made = subject.create_key(label, algorithm).reference
            steps.write(_STEP)
            if before is not None:
                subject.destroy_key(before)
                steps.write(_STEP)
            before = made


def create_slowly(subject: Subject, label: KeyLabel, algorithm: str, progress: str) -> None:
    """Create one key."""
    _begun(progress)
    subject.create_key(label, algorithm)


def import_slowly(subject: Subject, label: KeyLabel, algorithm: str, secret: bytes, progress: str) -> None:
    """Import one key."""
    ticket = subject.begin_import(label, algorithm)
    blob = wrapped(secret, ticket)
    _begun(progress)
    subject.import_key(ticket, blob)


def pkcs8_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as it is imported: PKCS#8, DER."""
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def spki_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    """Return its public key, DER SubjectPublicKeyInfo."""
    public = private.public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _begun(progress: str) -> None:
    with Path(progress).open("ab", buffering=0) as steps:
        steps.write(_STEP)
