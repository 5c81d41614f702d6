"""Let a key version prove itself on a fresh challenge before anything depends on it."""

from __future__ import annotations

import secrets

from keyclave.backends.backend import Backend
from keyclave.crypto.algorithms import load_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.errors import IntegrityError, KeyclaveError
from keyclave.models import get_algorithm, scheme_for
from keyclave.plugin import KeyReference
from keyclave.services.handles import to_reference
from keyclave.state.records import StoredKey, StoredVersion

__all__ = ["validate"]

_CHALLENGE = b"keyclave validation challenge v1\x00"
"""What it signs begins with this, so that nobody can take it for a message."""


def validate(key: StoredKey, version: StoredVersion, backend: Backend, *, next_step: str) -> None:
    """Return if the version signs or encrypts as its public key and algorithm say.

    Raises:
        IntegrityError: it does not; the error has the given next step.
    """
    challenge = _CHALLENGE + secrets.token_bytes(32)
    reference = to_reference(key, version)
    try:
        if version.public_key is None:
            _validate_encryption(backend, reference, challenge)
        else:
            _validate_signature(version.public_key, backend, reference, challenge)
    except KeyclaveError as error:
        problem = error
    else:
        return
    raise IntegrityError(
        f"version {version.version} failed its validation: {problem}",
        backend_id=backend.id,
        key_name=key.name,
        provider_reference=problem.provider_reference,
        next_step=next_step,
    )


def _validate_signature(public_key: bytes, backend: Backend, reference: KeyReference, challenge: bytes) -> None:
    scheme = scheme_for(get_algorithm(reference.algorithm), None).name
    sign = backend.bind_signer(reference, public_key, scheme, prehashed=False)
    bind_verifier(load_public_key(public_key), scheme)(challenge, sign(challenge).signature)


def _validate_encryption(backend: Backend, reference: KeyReference, challenge: bytes) -> None:
    encrypted = backend.encrypt(reference, challenge, b"")
    if backend.decrypt(reference, encrypted.ciphertext, b"").plaintext != challenge:
        raise IntegrityError("what it encrypted does not decrypt")
