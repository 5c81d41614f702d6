"""What a plan says of one key: whether it moves, how, and why not."""

from __future__ import annotations

from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.backends.backend import Backend
from keyclave.models import KeyStatus, MigrationStrategy, SecurityLevel
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256
from msgspec import structs

from core.tests.services.conftest import Reopen
from tests.transfers import Move

OTHER = '[backends.other]\nplugin = "software"\n'


@pytest.fixture
def two(reopen: Reopen) -> Keyclave:
    return reopen(OTHER)


def moving(clave: Keyclave, algorithm: str = "ECDSA_P256", *, exportable: bool = True) -> Move:
    clave.keys.create("moving", algorithm, backend="software", wrappable=exportable)
    return Move(clave, "moving", "other")


def described(backend: Backend, **changes: Any) -> Backend:
    """Let a backend say something else of itself."""
    backend.description = structs.replace(backend.description, **changes)
    return backend


def supporting(backend: Backend, algorithm: str, **changes: Any) -> Backend:
    """Let a backend say something else of an algorithm."""
    changed = tuple(
        structs.replace(support, **changes) if support.algorithm == algorithm else support
        for support in backend.description.algorithms
    )
    return described(backend, algorithms=changed)


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P384", "ED25519", "ML_DSA_65", "AES_256"])
def test_fr_012_a_wrappable_key_moves_itself(two: Keyclave, algorithm: str) -> None:
    found = moving(two, algorithm).judge()
    assert (found.strategy, found.method) == (MigrationStrategy.WRAPPED, RSA_AES_KEY_WRAP_SHA256)
    assert found.downgrade is None
    assert found.consequences == ()


def test_fr_012_a_key_that_cannot_leave_is_rekeyed(two: Keyclave) -> None:
    found = moving(two, exportable=False).judge()
    assert (found.strategy, found.method) == (MigrationStrategy.REKEYED, None)
    assert "not made wrappable" in found.reason
    assert any("public key changes" in sentence for sentence in found.consequences)


def test_fr_012_a_rekeyed_key_that_encrypts_leaves_its_ciphertexts_to_the_old_version(two: Keyclave) -> None:
    found = moving(two, "AES_256", exportable=False).judge()
    assert found.strategy is MigrationStrategy.REKEYED
    assert any("encrypt it anew before you retire" in sentence for sentence in found.consequences)


@pytest.mark.parametrize("form", [None, "another"])
def test_fr_012_a_key_that_encrypts_moves_only_where_its_ciphertexts_are_understood(
    two: Keyclave, form: str | None
) -> None:
    move = moving(two, "AES_256")
    supporting(move.destination, "AES_256", ciphertext_form=form)
    found = move.judge()
    assert found.strategy is MigrationStrategy.REKEYED
    assert "ciphertexts" in found.reason


def test_fr_012_a_method_that_both_have_is_needed(two: Keyclave) -> None:
    move = moving(two)
    supporting(move.destination, "ECDSA_P256", import_methods=("BY_SNAIL", "BY_PIGEON"))
    assert "by BY_SNAIL or BY_PIGEON" in move.judge().reason
    supporting(move.source, "ECDSA_P256", wrap_methods=("BY_PIGEON", "BY_SNAIL"))
    assert move.judge().method == "BY_SNAIL"  # which the destination prefers
    supporting(move.source, "ECDSA_P256", wrap_methods=())
    assert "wraps ECDSA_P256 keys by no method" in move.judge().reason


@pytest.mark.parametrize(
    ("side", "hook", "words"),
    [
        ("source", "wrap_key", "'software' releases no keys"),
        ("destination", "begin_import", "'other' takes no keys"),
        ("destination", "import_key", "'other' takes no keys"),
    ],
)
def test_fr_012_hooks_decide(
    two: Keyclave, monkeypatch: pytest.MonkeyPatch, side: str, hook: str, words: str
) -> None:
    move = moving(two)
    backend: Backend = getattr(move, side)
    has = backend.has
    monkeypatch.setattr(backend, "has", lambda wanted: wanted != hook and has(wanted))
    found = move.judge()
    assert found.strategy is MigrationStrategy.REKEYED
    assert words in found.reason


def test_fr_012_a_lower_level_is_refused_and_an_exception_lifts_that(two: Keyclave) -> None:
    move = moving(two)
    described(move.source, security_level=SecurityLevel.HSM)
    found = move.judge()
    assert found.strategy is None
    assert found.reason.startswith("refused as a downgrade: 'software' shows HSM, and 'other' shows SOFTWARE")
    assert found.downgrade is not None
    lifted = move.judge(excepted=True)
    assert lifted.strategy is MigrationStrategy.WRAPPED
    assert lifted.downgrade == found.downgrade


def test_fr_012_less_than_the_key_requires_is_a_downgrade_and_an_exception_lowers_that(two: Keyclave) -> None:
    move = moving(two)
    move.key = structs.replace(move.key, required_security_level=SecurityLevel.TPM)
    found = move.judge()
    assert (found.strategy, found.requires) == (None, SecurityLevel.TPM)
    assert "the key requires TPM" in found.reason
    assert move.judge(excepted=True).requires is SecurityLevel.SOFTWARE


def test_fr_014_no_exception_lifts_what_the_environment_requires(two: Keyclave) -> None:
    move = moving(two)
    environment = two.environment.model_copy(update={"required_security_level": SecurityLevel.TPM})
    two.environment = environment
    for excepted in (False, True):
        found = move.judge(excepted=excepted)
        assert (found.strategy, found.downgrade) == (None, None)
        assert "environment requires TPM (FR-014), which no exception lowers" in found.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": KeyStatus.REVOKED}, "version 1 is REVOKED"),
        ({"status": KeyStatus.STANDBY}, "version 1 is STANDBY"),
        ({"status": KeyStatus.PENDING}, "under validation"),
        ({"status": KeyStatus.DEPRECATED, "exportable": False}, "nothing to take over"),
    ],
)
def test_fr_012_what_a_version_is_decides(two: Keyclave, change: dict[str, Any], words: str) -> None:
    move = moving(two)
    move.version = structs.replace(move.version, **change)
    found = move.judge(excepted=True)
    assert found.strategy is None
    assert words in found.reason


def test_fr_012_a_deprecated_version_moves_wrapped(two: Keyclave) -> None:
    move = moving(two, "AES_256")
    move.version = structs.replace(move.version, status=KeyStatus.DEPRECATED)
    assert move.judge().strategy is MigrationStrategy.WRAPPED


def test_fr_012_a_destroyed_version_does_not_move(two: Keyclave) -> None:
    move = moving(two)
    move.version = structs.replace(move.version, destroyed_at=move.version.created_at)
    assert "destroyed" in move.judge().reason


def test_fr_012_a_key_does_not_move_to_where_it_is(two: Keyclave) -> None:
    two.keys.create("moving", "ECDSA_P256", backend="software", wrappable=True)
    found = Move(two, "moving", "software").judge()
    assert (found.strategy, found.reason) == (None, "it is kept in 'software' already")


def test_fr_012_a_backend_without_the_algorithm_is_no_destination(two: Keyclave) -> None:
    move = moving(two)
    described(move.destination, algorithms=())
    assert move.judge().reason == "'other' is no place for it: it has no ECDSA_P256"


def test_fr_012_schemes_that_are_lost_are_named(two: Keyclave) -> None:
    move = moving(two, "RSA_2048")
    support = move.destination.support("RSA_2048")
    assert support is not None
    kept = tuple(each for each in support.schemes if "PKCS1" not in each.scheme)
    supporting(move.destination, "RSA_2048", schemes=kept)
    (lost,) = move.judge().consequences
    assert lost.startswith("'other' does not sign with RSA_PKCS1_SHA256")
