"""A key has a standby in another backend: made with it or neither, published, renewed, and ended with it (FR-024)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from keyclave import Keyclave
from keyclave.errors import (
    BackendUnavailable,
    Conflict,
    IntegrityError,
    InvalidArgument,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
    PolicyViolation,
    StateUnavailable,
)
from keyclave.models import KeyStatus
from keyclave.services.fallback import standby as standbys
from keyclave.state.store import Store

from core.tests.services.clock import Clock
from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing
from core.tests.services.foreign_keys import URI, foreign_settings, make_foreign_key
from core.tests.services.long_ago import long_ago
from core.tests.services.migration.migrating import As, as_, migrate

__all__ = ["as_"]

MESSAGE = b"message"
ENABLED = "[environment.fallback]\nenabled = true\n"
SPARE = '[backends.spare]\nplugin = "software"\n'


@pytest.fixture
def clave(reopen: Reopen) -> Keyclave:
    """An instance with a second backend, behind the first."""
    return reopen(SPARE + ENABLED)


def places(clave: Keyclave, name: str = "k") -> list[tuple[str, str]]:
    return [(version.status.value, version.backend_id) for version in clave.keys.versions(name)]


def kept(clave: Keyclave) -> dict[str, int]:
    """How many keys are in each backend."""
    return {name: len(list(clave._backends.get(name).list_keys())) for name in ("software", "spare")}


def test_fr_024_a_key_is_created_with_its_standby_behind_it(clave: Keyclave) -> None:
    handle = clave.keys.create("k", "ECDSA_P256")
    assert (handle.version, handle.status, handle.backend_id) == (1, KeyStatus.ACTIVE, "software")
    assert places(clave) == [("ACTIVE", "software"), ("STANDBY", "spare")]
    standby = clave.keys.versions("k")[1]
    assert standby.next_rotation_at is not None
    assert clave.keys.public_key("k", 1) != clave.keys.public_key("k", 2)
    assert clave.keys.get("k").version == 1
    made = [(r.operation_type, r.key_version, r.backend_id, r.status) for r in clave.audit.records()]
    assert made == [("KEY_GENERATION", 1, "software", "SUCCESS"), ("ADD_STANDBY", 2, "spare", "SUCCESS")]
    assert clave.recovery.open_intents() == ()


def test_fr_024_without_the_policy_there_is_no_standby(reopen: Reopen) -> None:
    clave = reopen(SPARE)
    clave.keys.create("k", "ED25519")
    assert places(clave) == [("ACTIVE", "software")]
    with pytest.raises(PolicyViolation, match="the policy allows no fallback"):
        clave.keys.add_standby("k")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("", "none is behind it in the precedence"),
        ('[backends.other]\nplugin = "no-such-plugin"\n', "none is behind it in the precedence"),
        (f'{SPARE}key_file = "/nowhere/at/all"\n', "spare: "),
    ],
)
def test_fr_024_a_key_that_no_backend_may_stand_by_for_is_created_with_a_warning(
    reopen: Reopen, caplog: pytest.LogCaptureFixture, settings: str, reason: str
) -> None:
    clave = reopen(settings + ENABLED)
    with caplog.at_level(logging.WARNING, "keyclave.fallback"):
        clave.keys.create("k", "ED25519")
    assert places(clave) == [("ACTIVE", "software")]
    assert (
        "key 'k' has no standby for a fallback (FR-024): no backend behind 'software' may take a standby"
        in caplog.text
    )
    assert reason in caplog.text


def test_fr_024_the_standby_is_never_before_the_active_version_in_the_precedence(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519", backend="spare")
    assert places(clave) == [("ACTIVE", "spare")]


@pytest.mark.parametrize(("level", "stands_by"), [("SOFTWARE", False), ("TPM", True)])
def test_fr_024_a_standby_is_never_below_the_level_that_the_key_requires(
    acme: str, reopen: Reopen, *, level: str, stands_by: bool
) -> None:
    strict = 'required_level = "TPM"\nprecedence = ["acme"]\n'
    other = acme.replace("[backends.acme]", "[backends.other]")
    clave = reopen(strict + ENABLED + f'{acme}level = "TPM"\n{other}level = "{level}"\n', after='type = "local"\n')
    clave.keys.create("k", "ED25519")
    assert places(clave) == [("ACTIVE", "acme"), *([("STANDBY", "other")] if stands_by else [])]
    if not stands_by:
        with pytest.raises(PolicyViolation, match="other: its level is SOFTWARE, and TPM is required"):
            clave.keys.add_standby("k")


def test_fr_024_a_key_keeps_its_level_where_the_environment_requires_less_now(acme: str, reopen: Reopen) -> None:
    strict = 'required_level = "TPM"\nprecedence = ["acme", "software"]\n'
    reopen(f'{strict}{acme}level = "TPM"\n', after='type = "local"\n').keys.create("k", "ED25519")
    lax = reopen(f'precedence = ["acme", "software"]\n{ENABLED}{acme}level = "TPM"\n', after='type = "local"\n')
    with pytest.raises(PolicyViolation, match="software: its level is below the one that the key requires"):
        lax.keys.add_standby("k")


@pytest.mark.parametrize(
    ("backend", "method"), [("software", "create_key"), ("spare", "create_key"), ("spare", "bind_signer")]
)
def test_fr_024_key_and_standby_are_made_both_or_neither(clave: Keyclave, backend: str, method: str) -> None:
    afterwards = method == "create_key"
    with (
        failing(clave, method, BackendUnavailable("gone"), backend=backend, afterwards=afterwards),
        pytest.raises((BackendUnavailable, IntegrityError)),
    ):
        clave.keys.create("k", "ED25519")
    assert (kept(clave), clave.recovery.open_intents()) == ({"software": 0, "spare": 0}, ())
    with pytest.raises(KeyNotFound):
        clave.keys.get("k")


def test_fr_024_a_standby_whose_making_has_no_answer_is_found_and_undone(clave: Keyclave, reopen: Reopen) -> None:
    with (
        failing(clave, "create_key", OutcomeUnknown("no answer"), backend="spare", afterwards=True),
        pytest.raises(OutcomeUnknown),
    ):
        clave.keys.create("k", "ED25519")
    assert kept(clave) == {"software": 1, "spare": 1}
    assert len(clave.recovery.open_intents()) == 2
    assert len(clave.recovery.run()) == 2
    assert kept(clave) == {"software": 0, "spare": 0}


def test_fr_024_an_existing_key_gets_a_standby(reopen: Reopen) -> None:
    before = reopen(SPARE)
    before.keys.create("k", "ED25519")
    signature = before.keys.sign("k", MESSAGE).signature
    before.close()
    clave = reopen(SPARE + ENABLED)
    added = clave.keys.add_standby("k")
    assert (added.version, added.status, added.backend_id) == (2, KeyStatus.STANDBY, "spare")
    assert clave.keys.verify("k", MESSAGE, signature) == 1


def test_fr_024_an_adopted_key_has_no_standby_until_it_is_given_one(
    reopen: Reopen, installed: object, tmp_path: object
) -> None:
    installed("foreign")  # type: ignore[operator]
    shared = tmp_path / "shared"  # type: ignore[operator]
    make_foreign_key(shared)
    clave = reopen(
        f'precedence = ["acme-foreign", "software"]\n{ENABLED}{foreign_settings(shared)}', after='type = "local"\n'
    )
    clave.keys.adopt("k", URI, backend="shared")
    assert places(clave) == [("ACTIVE", "shared")]
    clave.keys.add_standby("k")
    assert places(clave) == [("ACTIVE", "shared"), ("STANDBY", "software")]


def test_fr_024_a_key_that_encrypts_has_no_standby(clave: Keyclave) -> None:
    clave.keys.create("k", "AES_256")
    assert places(clave) == [("ACTIVE", "software")]
    with pytest.raises(InvalidArgument, match="no other key decrypts"):
        clave.keys.add_standby("k")


def test_fr_024_a_new_standby_takes_the_place_of_the_old_one_which_is_retained(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    clave.keys.add_standby("k")
    assert places(clave) == [("ACTIVE", "software"), ("DEPRECATED", "spare"), ("STANDBY", "spare")]
    old = clave.keys.versions("k")[1]
    assert old.not_destroy_before is not None
    assert old.last_rotation_at is not None
    assert old.not_destroy_before - old.last_rotation_at == timedelta(days=90)


def test_fr_024_a_standby_is_removed_and_retained(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    removed = clave.keys.remove_standby("k")
    assert (removed.version, removed.status, removed.next_rotation_at) == (2, KeyStatus.DEPRECATED, None)
    with pytest.raises(Conflict, match="it has no standby"):
        clave.keys.remove_standby("k")


def test_fr_024_a_standby_that_was_removed_while_the_clock_was_behind_is_retained_as_long(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    clave.rotation.confirm_clock()
    with long_ago(days=20_000):
        clave.keys.create("k", "ED25519")
    clock = Clock(monkeypatch, standbys)
    clock.go(seconds=-timedelta(days=10_000).total_seconds())
    kept_until = clave.keys.remove_standby("k").not_destroy_before
    assert kept_until is not None
    assert kept_until - datetime.now(UTC) > timedelta(days=89)


def test_fr_024_a_rotation_leaves_the_standby_and_a_standby_is_renewed_by_its_own_age(clave: Keyclave) -> None:
    with long_ago():
        clave.keys.create("k", "ED25519")
    clave.rotation.rotate("k")
    assert places(clave) == [("DEPRECATED", "software"), ("STANDBY", "spare"), ("ACTIVE", "software")]
    report = clave.rotation.run_due()
    assert [(handle.version, handle.status) for handle in report.rotated] == [(4, KeyStatus.STANDBY)]
    assert places(clave)[1:] == [("DEPRECATED", "spare"), ("ACTIVE", "software"), ("STANDBY", "spare")]
    assert clave.rotation.run_due().rotated == ()


def test_fr_024_a_standby_that_is_due_stays_where_the_policy_allows_no_fallback_any_more(
    clave: Keyclave, reopen: Reopen
) -> None:
    with long_ago():
        clave.keys.create("k", "ED25519")
    clave.rotation.rotate("k")
    without = reopen(SPARE)
    report = without.rotation.run_due()
    assert (report.rotated, report.failed) == ((), ())
    assert places(without)[1] == ("STANDBY", "spare")


def test_fr_024_a_standby_of_another_algorithm_than_the_active_version_is_replaced(clave: Keyclave) -> None:
    clave.keys.create("k", "RSA_2048")
    clave.rotation.rotate("k", algorithm="ECDSA_P256")
    with failing(clave, "bind_signer", BackendUnavailable("gone")), pytest.raises(BackendUnavailable):
        clave.keys.sign("k", MESSAGE)
    clave.rotation.run_due()
    assert clave.keys.versions("k")[-1].algorithm == "ECDSA_P256"
    assert places(clave)[1:] == [("DEPRECATED", "spare"), ("ACTIVE", "software"), ("STANDBY", "spare")]


def test_fr_024_a_revocation_ends_the_standby_too_even_while_the_other_backend_is_away(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    with (
        failing(clave, "disable_key", BackendUnavailable("gone")),
        pytest.raises(OutcomeUnknown, match="the key is revoked"),
    ):
        clave.keys.revoke("k", "stolen")
    assert places(clave) == [("REVOKED", "software"), ("REVOKED", "spare")]
    spare, (reference,) = clave._backends.get("spare"), clave._backends.get("spare").list_keys()
    with pytest.raises(KeyDisabled):
        spare.bind_signer(reference, spare.public_key(reference).spki, "ED25519", prehashed=False)(MESSAGE)
    with pytest.raises(KeyDisabled):
        clave.keys.sign("k", MESSAGE)
    with pytest.raises(KeyDisabled):
        clave.keys.add_standby("k")
    clave.recovery.run()
    assert clave.recovery.open_intents() == ()


def test_fr_024_a_standby_is_not_destroyed_while_it_stands_by(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    with pytest.raises(Conflict, match="version 2 is STANDBY"):
        clave.keys.destroy("k", 2)


def test_fr_024_a_key_under_validation_gets_no_standby_meanwhile(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    clave.rotation.rotate("k", validation_period=timedelta(hours=1))
    with pytest.raises(Conflict, match="version 3 of it is under validation"):
        clave.keys.add_standby("k")
    clave.rotation.promote("k")
    assert clave.keys.add_standby("k").version == 4


def test_fr_024_a_standby_where_the_active_version_was_migrated_to_is_replaced(as_: As, config: Path) -> None:
    config.write_text(config.read_text() + '[backends.third]\nplugin = "software"\n' + ENABLED)
    alice = as_("alice")
    alice.keys.create("k", "ED25519", wrappable=True)
    assert places(alice) == [("ACTIVE", "software"), ("STANDBY", "other")]
    active, standby = alice.migration.plan(["k"], "other").versions
    assert (active.strategy, standby.strategy) == ("WRAPPED", None)
    assert "is in 'other' already" in standby.reason
    migrate(alice, as_("bob"), "k")
    assert places(alice) == [("ACTIVE", "other"), ("STANDBY", "other")]
    with (
        failing(alice, "bind_signer", BackendUnavailable("gone"), backend="other"),
        pytest.raises(BackendUnavailable),
    ):
        alice.keys.sign("k", MESSAGE)
    alice.rotation.run_due()
    assert places(alice) == [("ACTIVE", "other"), ("DEPRECATED", "other"), ("STANDBY", "third")]


def test_fr_024_a_database_that_is_away_when_a_key_is_created_is_said_so(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was begun, so nothing is looked for in the backends, and no lease was lost."""
    before = len(list(clave.audit.records()))

    def fail(_: Store) -> None:
        raise StateUnavailable("there is no connection")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", fail)
        with pytest.raises(StateUnavailable, match="there is no connection"):
            clave.keys.create("k", "ED25519")
    assert [r.operation_type for r in clave.audit.records()][before:] == ["KEY_GENERATION"]


def test_fr_024_a_standby_whose_backend_shows_less_than_the_key_requires_is_told(acme: str, reopen: Reopen) -> None:
    type_only = '[environment]\ntype = "local"\n'
    strict = f'{type_only}required_level = "TPM"\nprecedence = ["acme"]\n{ENABLED}'
    first, second = (f'{acme.replace("acme]", f"{name}]")}level = "TPM"\n' for name in ("first", "second"))
    strong = reopen(strict + first + second, without=type_only)
    strong.keys.create("k", "ED25519")
    assert places(strong) == [("ACTIVE", "first"), ("STANDBY", "second")]
    assert strong.backends.unusable_standbys() == ()
    strong.close()
    weak = reopen(strict + first + second.replace("TPM", "SOFTWARE"), without=type_only)
    (found,) = weak.backends.unusable_standbys()
    assert (found.name, found.version, found.backend_id) == ("k", 2, "second")
    assert found.reason == "the key requires TPM, and its backend shows SOFTWARE"
