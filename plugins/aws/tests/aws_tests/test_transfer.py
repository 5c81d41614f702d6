"""A key goes from a token into AWS KMS as a migration takes it, and none comes out again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyclave
import pytest
from aws_tests.beside_a_token import with_token
from keyclave import Keyclave
from keyclave.models import MigrationStrategy
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1
from keyclave.services.migration.proof import Proven, verify_proof

from tests.services.tokens import Token
from tests.transfers import Move, Moved, require_signs

pytestmark = [
    pytest.mark.needs("ministack"),
    pytest.mark.needs("softhsm"),
    pytest.mark.filterwarnings("ignore:FR-023"),  # access keys, since nothing else can be had from an emulator
]


@pytest.fixture
def clave(tmp_path: Path, ministack: str, secret_file: Path, softhsm_token: Token) -> Iterator[Keyclave]:
    config = with_token(tmp_path, ministack, secret_file, softhsm_token)
    with keyclave.open(config, principal="tester") as opened:
        yield opened


def require_proven(move: Move, moved: Moved, strategy: MigrationStrategy) -> None:
    keys = move.version.public_key, moved.created.public_key
    assert verify_proof(moved.proof, strategy, moved.migration_id, *keys) is Proven.BY_SIGNATURES
    require_signs(move.destination, moved.created, moved.created.public_key)


def test_fr_012_from_a_token_into_aws_and_no_further(clave: Keyclave) -> None:
    # SoftHSM 2.6 puts zero bytes after a key unless its length is a multiple of 8, as that of a P-384 key always is.
    clave.keys.create("moving", "ECDSA_P384", backend="hsm", wrappable=True)
    move = Move(clave, "moving", "cloud")
    assert move.judge().method == RSA_AES_KEY_WRAP_SHA1
    moved = move.wrapped()
    assert moved.created.public_key == move.version.public_key
    assert moved.created.provider_reference
    require_proven(move, moved, MigrationStrategy.WRAPPED)


def test_fr_012_from_aws_into_a_token(clave: Keyclave) -> None:
    clave.keys.create("moving", "ECDSA_P256", backend="cloud")
    move = Move(clave, "moving", "hsm")
    assert "cannot leave" in move.judge().reason
    moved = move.rekeyed()
    assert moved.created.public_key != move.version.public_key
    require_proven(move, moved, MigrationStrategy.REKEYED)


@pytest.mark.parametrize("algorithm", ["AES_256", "ED25519"])
def test_fr_012_what_aws_does_not_take_is_rekeyed(clave: Keyclave, algorithm: str) -> None:
    clave.keys.create("moving", algorithm, backend="hsm", wrappable=True)
    found = Move(clave, "moving", "cloud").judge()
    assert found.strategy is MigrationStrategy.REKEYED
    assert "'cloud' takes them by no method" in found.reason
