"""Prove that a migration moved the right key, or that the old key and the new one belong together (FR-012).

Both sides sign one fresh challenge, which names the migration and both public keys. A WRAPPED key signs it at the
source and at the destination, and both signatures verify under its one public key. Of a REKEYED one the old and the
new key sign it, so that each vouches for the other's public key. Keys that encrypt have no public key: each side
encrypts the challenge, and for a WRAPPED one each decrypts what the other encrypted.

The bytes of a proof are canonical JSON. `verify_proof` checks signatures at any later time, without a backend. Of
symmetric keys it can check the form alone: a ciphertext says something only to who has the key, so `prove_again`
decrypts what is stored in a backend that still keeps it.
"""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum
from typing import Literal
from uuid import UUID

import msgspec

from keyclave.backends.backend import Backend
from keyclave.crypto.algorithms import load_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.errors import DecryptionFailed, IntegrityError, KeyclaveError
from keyclave.models import MigrationStrategy, get_algorithm
from keyclave.plugin import KeyReference, Record

__all__ = ["Proven", "Side", "prove", "prove_again", "verify_proof"]

_DOMAIN = b"keyclave migration proof v1\x00"
"""What is signed or encrypted begins with this, so that nobody can take it for a message."""
_NONCE_SIZE = 32
_NEXT_STEP = "Do not retire the source: the migration is not proven. Find out which of both keys is another one."


class Proven(StrEnum):
    """What the bytes of a proof show by themselves.

    Attributes:
        BY_SIGNATURES: both keys signed the challenge.
        BY_KEYS_ONLY: nothing but that they are a proof of this migration: whoever has the keys can check it.
    """

    BY_SIGNATURES = "BY_SIGNATURES"
    BY_KEYS_ONLY = "BY_KEYS_ONLY"


class Side(Record, frozen=True, kw_only=True):
    """One side of a migration: a key and the backend that keeps it.

    Attributes:
        backend: the backend.
        reference: the key in it.
        public_key: its recorded public key, DER SubjectPublicKeyInfo; ``None`` for a symmetric key.
    """

    backend: Backend
    reference: KeyReference
    public_key: bytes | None


class _Share(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one side contributes: its signature of the challenge by a scheme, or its ciphertext."""

    public_key: bytes | None
    scheme: str | None
    value: bytes


class _Proof(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["keyclave-migration-proof-1"] = "keyclave-migration-proof-1"
    strategy: MigrationStrategy
    migration_id: UUID
    nonce: bytes
    source: _Share
    destination: _Share

    @property
    def challenge(self) -> bytes:
        keys = (self.source.public_key, self.destination.public_key)
        return _challenge(self.strategy, self.migration_id, self.nonce, *keys)


def prove(strategy: MigrationStrategy, migration_id: UUID, source: Side, destination: Side) -> bytes:
    """Let both sides show that they have their keys, and return the proof.

    Args:
        strategy: WRAPPED: both sides have one key; REKEYED: the destination has a new one.
        migration_id: the migration.
        source: the key where it was.
        destination: the key where it is to be.

    Raises:
        IntegrityError: a signature does not verify, or a side does not decrypt what the other encrypted.
        BackendError: a backend failed.
    """
    if strategy is MigrationStrategy.WRAPPED and source.public_key != destination.public_key:
        raise _unproven(destination, "it has another public key")
    nonce = secrets.token_bytes(_NONCE_SIZE)
    challenge = _challenge(strategy, migration_id, nonce, source.public_key, destination.public_key)
    shares = (_share(source, challenge), _share(destination, challenge))
    proof = msgspec.json.encode(
        _Proof(strategy=strategy, migration_id=migration_id, nonce=nonce, source=shares[0], destination=shares[1]),
        order="sorted",
    )
    # What is kept is what is checked, and by `cryptography`, whatever the backends say of themselves.
    verify_proof(proof, strategy, migration_id, source.public_key, destination.public_key)
    prove_again(proof, source=source, destination=destination)
    return proof


def verify_proof(
    proof: bytes,
    strategy: MigrationStrategy,
    migration_id: UUID,
    source_public_key: bytes | None,
    destination_public_key: bytes | None,
) -> Proven:
    """Check the bytes of a proof against what is recorded of its migration, without a backend.

    Raises:
        IntegrityError: they are not a proof of this migration and these keys.
    """
    read = _read(proof)
    keys = (source_public_key, destination_public_key)
    if (read.strategy, read.migration_id) != (strategy, migration_id) or keys != _keys(read):
        raise _damaged("the proof is of another migration or of other keys")
    if source_public_key is None or destination_public_key is None:
        return Proven.BY_KEYS_ONLY
    for share, spki in zip((read.source, read.destination), (source_public_key, destination_public_key), strict=True):
        _require_signature(share, spki, read.challenge)
    return Proven.BY_SIGNATURES


def prove_again(proof: bytes, *, source: Side | None = None, destination: Side | None = None) -> None:
    """Let the keys that still exist show once more that a proof is theirs; its signatures need no keys.

    Args:
        proof: the bytes of a proof that `verify_proof` accepted.
        source: the key at the source, if it is still usable there.
        destination: the key at the destination, likewise.

    Raises:
        IntegrityError: a symmetric key does not decrypt what it encrypted, or a WRAPPED one what the other side did.
        BackendError: a backend failed.
    """
    read = _read(proof)
    for side, own, other in ((source, read.source, read.destination), (destination, read.destination, read.source)):
        if side is None or side.public_key is not None:
            continue
        shares = (own, other) if read.strategy is MigrationStrategy.WRAPPED else (own,)
        for share in shares:
            _require_plaintext(side, share.value, read.challenge)


def _challenge(
    strategy: MigrationStrategy, migration_id: UUID, nonce: bytes, source: bytes | None, destination: bytes | None
) -> bytes:
    """Return what both sides sign. Every part but the strategy has one length, and that ends with a zero byte."""
    fingerprints = (hashlib.sha256(spki or b"").digest() for spki in (source, destination))
    return b"".join((_DOMAIN, strategy.encode(), b"\x00", migration_id.bytes, nonce, *fingerprints))


def _share(side: Side, challenge: bytes) -> _Share:
    if side.public_key is None:
        encrypted = side.backend.encrypt(side.reference, challenge, _DOMAIN)
        return _Share(public_key=None, scheme=None, value=encrypted.ciphertext)
    scheme = _scheme(side)
    sign = side.backend.bind_signer(side.reference, side.public_key, scheme, prehashed=False)
    return _Share(public_key=side.public_key, scheme=scheme, value=sign(challenge).signature)


def _scheme(side: Side) -> str:
    """Return the first scheme of the key's algorithm that the backend has."""
    support = side.backend.support(side.reference.algorithm)
    offered = {each.scheme for each in support.schemes} if support else set()
    known = get_algorithm(side.reference.algorithm).schemes
    scheme = next((each for each in known if each in offered), None)
    if scheme is None:
        raise _unproven(side, f"it signs with no scheme for {side.reference.algorithm}")
    return scheme


def _require_signature(share: _Share, spki: bytes, challenge: bytes) -> None:
    try:
        bind_verifier(load_public_key(spki), share.scheme or "")(challenge, share.value)
    except KeyclaveError as error:
        problem = error.message
    else:
        return
    raise _damaged(f"a signature of the proof does not hold: {problem}")


def _require_plaintext(side: Side, ciphertext: bytes, challenge: bytes) -> None:
    try:
        plaintext = side.backend.decrypt(side.reference, ciphertext, _DOMAIN).plaintext
    except DecryptionFailed:
        plaintext = b""
    if plaintext != challenge:
        raise _unproven(side, "it does not decrypt what the proof says that its key encrypted")


def _read(proof: bytes) -> _Proof:
    try:
        read = msgspec.json.decode(proof, type=_Proof)
    except msgspec.MsgspecError:
        read = None
    if read is None or msgspec.json.encode(read, order="sorted") != proof or len(read.nonce) != _NONCE_SIZE:
        raise _damaged("the proof has another form than Keyclave gives it")
    return read


def _keys(proof: _Proof) -> tuple[bytes | None, bytes | None]:
    return proof.source.public_key, proof.destination.public_key


def _damaged(problem: str) -> IntegrityError:
    return IntegrityError(problem, operation="verify_proof", next_step=_NEXT_STEP)


def _unproven(side: Side, problem: str) -> IntegrityError:
    return IntegrityError(problem, operation="prove", backend_id=side.backend.id, next_step=_NEXT_STEP)
