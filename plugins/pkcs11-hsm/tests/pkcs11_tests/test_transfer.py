"""Keys go into a token, out of it and from one to another as a migration takes them: planned, carried and proven."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.models import MigrationStrategy
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1, ImportTicket, WrappedKey
from keyclave.services.migration.proof import Proven, prove_again, verify_proof
from msgspec import structs
from pkcs11_tests.configuring import table, with_tokens

from tests.services.tokens import Token
from tests.transfers import Move, Moved, require_signs

pytestmark = pytest.mark.needs("softhsm")

WRAPPED, REKEYED = MigrationStrategy.WRAPPED, MigrationStrategy.REKEYED
SIGNING = ["RSA_2048", "ECDSA_P384"]


@pytest.fixture
def clave(softhsm_tokens: dict[str, Token], tmp_path: Path) -> Iterator[Keyclave]:
    config = with_tokens(tmp_path, softhsm_tokens)
    with keyclave.open(config, principal="tester") as opened:
        yield opened


def moving(clave: Keyclave, algorithm: str, source: str, destination: str, *, wrappable: bool) -> Move:
    clave.keys.create("moving", algorithm, backend=source, wrappable=wrappable)
    return Move(clave, "moving", destination)


def require_proven(move: Move, moved: Moved, strategy: MigrationStrategy) -> None:
    keys = move.version.public_key, moved.created.public_key
    assert verify_proof(moved.proof, strategy, moved.migration_id, *keys) is Proven.BY_SIGNATURES
    require_signs(move.destination, moved.created, moved.created.public_key)


def require_nothing_lost(move: Move) -> None:
    assert list(move.destination.list_keys()) == []
    signed = move._clave.keys.sign("moving", b"a message")
    assert move._clave.keys.verify("moving", b"a message", signed.signature) == 1


def test_fr_003_a_wrappable_key_is_in_the_hsm_and_is_not_exportable(clave: Keyclave) -> None:
    clave.keys.create("moving", "ECDSA_P256", backend="hsm", wrappable=True)
    properties = clave.keys.get("moving").security_properties
    assert (properties.wrappable, properties.exportable, properties.hsm_backed) == (True, False, True)
    clave.keys.create("staying", "ECDSA_P256", backend="hsm")
    properties = clave.keys.get("staying").security_properties
    assert (properties.wrappable, properties.exportable, properties.hsm_backed) == (False, False, True)


@pytest.mark.parametrize("algorithm", [*SIGNING, "ED25519"])
def test_fr_012_from_software_into_a_token(clave: Keyclave, algorithm: str) -> None:
    move = moving(clave, algorithm, "software", "hsm", wrappable=True)
    moved = move.wrapped()
    assert moved.created.public_key == move.version.public_key
    assert moved.created.hsm_backed
    require_proven(move, moved, WRAPPED)


@pytest.mark.parametrize("algorithm", SIGNING)
def test_fr_012_from_a_token_into_another(clave: Keyclave, algorithm: str) -> None:
    move = moving(clave, algorithm, "hsm", "vault", wrappable=True)
    assert move.judge().method == RSA_AES_KEY_WRAP_SHA1
    moved = move.wrapped()
    assert moved.created.public_key == move.version.public_key
    require_proven(move, moved, WRAPPED)


def test_fr_012_a_key_that_encrypts_goes_from_a_token_into_another(clave: Keyclave) -> None:
    move = moving(clave, "AES_256", "hsm", "vault", wrappable=True)
    moved = move.wrapped()
    prove_again(moved.proof, destination=move.other_side(moved.created))


def test_fr_012_a_key_that_encrypts_is_rekeyed_where_the_token_would_not_read_its_ciphertexts(
    clave: Keyclave,
) -> None:
    move = moving(clave, "AES_256", "software", "hsm", wrappable=True)
    found = move.judge()
    assert found.strategy is REKEYED
    assert "do not write ciphertexts in the same form" in found.reason
    # And it is true: the key would arrive, and decrypt nothing of what it encrypted.
    described = move.destination.description
    lying = tuple(
        structs.replace(each, ciphertext_form="software-1") if each.algorithm == "AES_256" else each
        for each in described.algorithms
    )
    move.destination.description = structs.replace(described, algorithms=lying)
    with pytest.raises(keyclave.errors.IntegrityError, match="does not decrypt"):
        move.wrapped()


def test_fr_012_a_key_that_stays_is_refused_as_a_downgrade_and_rekeyed_with_an_exception(clave: Keyclave) -> None:
    move = moving(clave, "ECDSA_P256", "hsm", "software", wrappable=False)
    found = move.judge()
    assert found.strategy is None
    assert "'hsm' shows HSM, and 'software' shows SOFTWARE" in found.reason
    require_proven(move, move.rekeyed(excepted=True), REKEYED)


def test_fr_012_a_wrappable_key_leaves_for_software_with_an_exception_only(clave: Keyclave) -> None:
    move = moving(clave, "ECDSA_P256", "hsm", "software", wrappable=True)
    assert move.judge().strategy is None
    assert move.judge(excepted=True).strategy is WRAPPED


def test_fr_012_an_ed25519_key_cannot_leave_softhsm_and_the_plan_knows(clave: Keyclave) -> None:
    found = moving(clave, "ED25519", "hsm", "vault", wrappable=True).judge()
    assert found.strategy is REKEYED
    assert "'hsm' wraps ED25519 keys by no method" in found.reason


def test_fr_012_a_token_refuses_a_blob_that_was_altered(clave: Keyclave, monkeypatch: pytest.MonkeyPatch) -> None:
    move = moving(clave, "ECDSA_P256", "hsm", "vault", wrappable=True)
    import_key = move.destination.import_key

    def altering(ticket: ImportTicket, wrapped: WrappedKey) -> Any:
        blob = bytearray(wrapped.blob)
        blob[len(blob) // 2] ^= 1
        return import_key(ticket, structs.replace(wrapped, blob=bytes(blob)))

    monkeypatch.setattr(move.destination, "import_key", altering)
    with pytest.raises(InvalidArgument, match="unwrapped"):
        move.carry(move.ticket())
    require_nothing_lost(move)


def test_fr_012_a_token_that_is_read_only_takes_no_keys(
    clave: Keyclave, softhsm_tokens: dict[str, Token], tmp_path: Path
) -> None:
    clave.keys.create("moving", "ECDSA_P256", backend="software", wrappable=True)
    clave.close()
    config = tmp_path / "keyclave.toml"
    config.write_text(config.read_text() + table("closed", softhsm_tokens["other"], read_only=True))
    with keyclave.open(config, principal="tester") as again:
        move = Move(again, "moving", "closed")
        assert "takes them by no method" in move.judge().reason
        with pytest.raises(CapabilityUnsupported, match="reading only"):
            move.rekeyed()
