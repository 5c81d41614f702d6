"""The proof of a migration holds then and later, and no other bytes do."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keyclave import Keyclave
from keyclave.crypto.algorithms import load_public_key, verification_arguments
from keyclave.errors import IntegrityError
from keyclave.models import MigrationStrategy
from keyclave.plugin import CreatedKey, CreateKeyRequest
from keyclave.services.migration.proof import Proven, prove, prove_again, verify_proof
from msgspec import structs

from core.tests.services.conftest import Reopen
from tests.transfers import Move, Moved

WRAPPED, REKEYED = MigrationStrategy.WRAPPED, MigrationStrategy.REKEYED
OTHER = '[backends.other]\nplugin = "software"\n'
SIGNING = ["RSA_2048", "ECDSA_P256", "ED25519", "ML_DSA_65"]


@pytest.fixture
def two(reopen: Reopen) -> Keyclave:
    return reopen(OTHER)


def moving(clave: Keyclave, algorithm: str, *, exportable: bool) -> Move:
    clave.keys.create("moving", algorithm, backend="software", wrappable=exportable)
    return Move(clave, "moving", "other")


def require_signatures(proof: bytes, challenge: bytes) -> None:
    """Check both signatures by `cryptography` alone."""
    read = json.loads(proof)
    for side in ("source", "destination"):
        share = read[side]
        load_public_key(b64decode(share["public_key"])).verify(
            b64decode(share["value"]), challenge, *verification_arguments(share["scheme"])
        )


def challenge_of(proof: bytes) -> bytes:
    """Put the challenge together again from what a proof says of itself."""

    read = json.loads(proof)
    keys = [b64decode(read[side]["public_key"] or "") for side in ("source", "destination")]
    name = f"{read['strategy']}\0".encode()
    parts = (name, UUID(read["migration_id"]).bytes, b64decode(read["nonce"]))
    return b"keyclave migration proof v1\x00" + b"".join((*parts, *(hashlib.sha256(key).digest() for key in keys)))


def verify(move: Move, moved: Moved, strategy: MigrationStrategy) -> Proven:
    keys = move.version.public_key, moved.created.public_key
    return verify_proof(moved.proof, strategy, moved.migration_id, *keys)


@pytest.mark.parametrize("algorithm", SIGNING)
def test_fr_012_both_sides_sign_one_challenge_under_one_public_key(two: Keyclave, algorithm: str) -> None:
    move = moving(two, algorithm, exportable=True)
    moved = move.wrapped()
    require_signatures(moved.proof, challenge_of(moved.proof))
    two.close()
    assert verify(move, moved, WRAPPED) is Proven.BY_SIGNATURES


@pytest.mark.parametrize("algorithm", SIGNING)
def test_fr_012_the_old_key_and_the_new_one_sign_each_other(two: Keyclave, algorithm: str) -> None:
    move = moving(two, algorithm, exportable=False)
    moved = move.rekeyed()
    assert moved.created.public_key != move.version.public_key
    require_signatures(moved.proof, challenge_of(moved.proof))
    two.close()
    assert verify(move, moved, REKEYED) is Proven.BY_SIGNATURES


@pytest.mark.parametrize("exportable", [True, False])
def test_fr_012_a_key_that_encrypts_is_proven_by_who_has_it(two: Keyclave, exportable: bool) -> None:  # noqa: FBT001
    move = moving(two, "AES_256", exportable=exportable)
    moved = move.wrapped() if exportable else move.rekeyed()
    assert verify(move, moved, WRAPPED if exportable else REKEYED) is Proven.BY_KEYS_ONLY
    source, destination = move.side(), move.other_side(moved.created)
    for sides in ({"source": source}, {"destination": destination}, {}):
        prove_again(moved.proof, **sides)
    swapped = {"source": destination, "destination": source}
    if exportable:
        prove_again(moved.proof, **swapped)
    else:
        with pytest.raises(IntegrityError, match="does not decrypt"):
            prove_again(moved.proof, **swapped)


def other_key(move: Move) -> CreatedKey:
    return move.destination.create_key(
        CreateKeyRequest(label=move.label(), algorithm=move.algorithm, exportable=False)
    )


def test_fr_012_another_key_that_encrypts_is_no_proof(two: Keyclave) -> None:
    move = moving(two, "AES_256", exportable=True)
    with pytest.raises(IntegrityError, match="does not decrypt") as refused:
        prove(WRAPPED, uuid4(), move.side(), move.other_side(other_key(move)))
    assert "retire" in refused.value.next_step


def test_fr_012_another_key_that_signs_is_no_proof(two: Keyclave) -> None:
    move = moving(two, "ECDSA_P256", exportable=True)
    other = other_key(move)
    with pytest.raises(IntegrityError, match="another public key"):
        prove(WRAPPED, uuid4(), move.side(), move.other_side(other))
    posing = structs.replace(other, public_key=move.version.public_key)
    with pytest.raises(IntegrityError, match="does not hold"):
        prove(WRAPPED, uuid4(), move.side(), move.other_side(posing))


def test_two_proofs_of_one_migration_are_fresh(two: Keyclave) -> None:
    move = moving(two, "ED25519", exportable=True)
    created = move.carry(move.ticket()).created
    migration_id = uuid4()
    one, other = (prove(WRAPPED, migration_id, move.side(), move.other_side(created)) for _ in range(2))
    assert json.loads(one)["nonce"] != json.loads(other)["nonce"]


def altered(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def alter(proof: bytes) -> bytes:
        read = json.loads(proof)
        change(read)
        return json.dumps(read, separators=(",", ":"), sort_keys=True).encode()

    return alter


def flip(text: str) -> str:
    data = bytearray(b64decode(text))
    data[-1] ^= 1
    return b64encode(bytes(data)).decode()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda proof: proof[:-1],
    "space": lambda proof: proof + b" ",
    "another order": lambda proof: json.dumps(
        dict(reversed(json.loads(proof).items())), separators=(",", ":")
    ).encode(),
    "another format": altered(lambda read: read.update(format="keyclave-migration-proof-2")),
    "more": altered(lambda read: read.update(more=1)),
    "another migration": altered(lambda read: read.update(migration_id=str(uuid4()))),
    "another strategy": altered(lambda read: read.update(strategy="REKEYED")),
    "another nonce": altered(lambda read: read.update(nonce=flip(read["nonce"]))),
    "short nonce": altered(lambda read: read.update(nonce=b64encode(bytes(31)).decode())),
    "another signature": altered(lambda read: read["destination"].update(value=flip(read["destination"]["value"]))),
    "sides swapped": altered(
        lambda read: read.update(source=read["destination"] | {"scheme": None}, destination=read["source"])
    ),
    "no scheme": altered(lambda read: read["source"].update(scheme=None)),
    "another scheme": altered(lambda read: read["source"].update(scheme="ED25519")),
    "no key": altered(lambda read: read["source"].update(public_key=None)),
}


@pytest.fixture
def proven(two: Keyclave) -> tuple[Move, Moved]:
    move = moving(two, "ECDSA_P256", exportable=True)
    return move, move.wrapped()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_fr_012_a_proof_that_was_changed_is_refused(
    proven: tuple[Move, Moved], damage: Callable[[bytes], bytes]
) -> None:
    move, moved = proven
    with pytest.raises(IntegrityError):
        verify(move, structs.replace(moved, proof=damage(moved.proof)), WRAPPED)


def test_fr_012_a_proof_is_of_one_migration_and_of_its_keys(proven: tuple[Move, Moved]) -> None:
    move, moved = proven
    with pytest.raises(IntegrityError, match="another migration"):
        verify(move, structs.replace(moved, migration_id=uuid4()), WRAPPED)
    with pytest.raises(IntegrityError, match="another migration"):
        verify(move, moved, REKEYED)

    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    move.version = structs.replace(
        move.version, public_key=stranger.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(IntegrityError, match="other keys"):
        verify(move, moved, WRAPPED)
