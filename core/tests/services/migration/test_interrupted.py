"""A migration that fails or is interrupted at any step leaves one place that has the key, and works (FR-012)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    Conflict,
    IntegrityError,
    InvalidArgument,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
    PolicyViolation,
    StateUnavailable,
)
from keyclave.models import KeyHandle, KeyMigrationRecord, KeyStatus, MigrationStatus
from keyclave.plugin import DestroyResult, DestroyState, KeyLabel
from keyclave.services.keys.destruction import Destruction
from keyclave.services.migration.run import MigrationRun

from core.tests.services.failing import failing, replaced
from core.tests.services.foreign_keys import foreign_settings
from core.tests.services.long_ago import long_ago
from core.tests.services.migration.migrating import As, alice, as_, bob, listed, migrate

__all__ = ["alice", "as_", "bob"]

MESSAGE = b"signed all the time"
Step = tuple[str, str, KeyclaveError, bool, MigrationStatus]
GONE = BackendUnavailable("unplugged")
BEFORE_THE_SWITCH: list[Step] = [
    ("begin_import", "other", GONE, False, MigrationStatus.IN_PROGRESS),
    ("begin_import", "other", CapabilityUnsupported("no"), False, MigrationStatus.FAILED),
    ("wrap_key", "software", GONE, False, MigrationStatus.IN_PROGRESS),
    ("import_key", "other", GONE, False, MigrationStatus.IN_PROGRESS),
    ("import_key", "other", InvalidArgument("no"), False, MigrationStatus.FAILED),
    ("import_key", "other", GONE, True, MigrationStatus.IN_PROGRESS),
    ("public_key", "other", GONE, False, MigrationStatus.IN_PROGRESS),
    ("bind_signer", "other", IntegrityError("no"), False, MigrationStatus.FAILED),
    ("bind_signer", "software", GONE, False, MigrationStatus.IN_PROGRESS),
]


def works_at(clave: Keyclave, backend: str) -> None:
    signed = clave.keys.sign("k", MESSAGE)
    assert signed.backend_id == backend
    assert clave.keys.verify("k", MESSAGE, signed.signature) == signed.version


def is_usable(clave: Keyclave, backend: str, record: KeyMigrationRecord) -> bool:
    """Whether the backend signs with the key of a place."""
    location = record.source_location if backend == "software" else record.destination_location
    assert location is not None
    opened = clave._backends.get(backend)
    reference = opened.find_key(KeyLabel.parse(location.label))
    public_key = clave.keys._stored_public_key("k", record.key_version)
    try:
        opened.bind_signer(reference, public_key, "ED25519", prehashed=False)(MESSAGE)
    except KeyDisabled:
        return False
    return True


@pytest.mark.parametrize(("method", "backend", "error", "afterwards", "status"), BEFORE_THE_SWITCH)
def test_fr_012_what_fails_before_the_switch_is_undone(
    alice: Keyclave, bob: Keyclave, method: str, backend: str, error: KeyclaveError, *, afterwards: bool, status: Any
) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    with failing(alice, method, error, afterwards=afterwards, backend=backend):
        record = migrate(alice, bob, "k")
    assert (record.status, record.error_message is None) == (status, False)
    assert listed(alice, "other") == set()
    assert alice.recovery.open_intents() == ()
    works_at(bob, "software")
    (again,) = alice.migration.run(record.plan_id)
    done = status is MigrationStatus.IN_PROGRESS
    assert (again.status is MigrationStatus.COMPLETED) is done
    works_at(alice, "other" if done else "software")


@pytest.mark.parametrize(("method", "error"), [("create_key", GONE), ("bind_signer", IntegrityError("no"))])
def test_fr_012_a_new_key_that_fails_is_destroyed(
    alice: Keyclave, bob: Keyclave, method: str, error: KeyclaveError
) -> None:
    alice.keys.create("k", "ED25519")
    with failing(alice, method, error, backend="other"):
        record = migrate(alice, bob, "k")
    assert record.status is not MigrationStatus.COMPLETED
    assert listed(alice, "other") == set()
    works_at(bob, "software")
    assert alice.keys.versions("k")[0].status is KeyStatus.ACTIVE
    assert all(v.destroyed_at for v in alice.keys.versions("k")[1:])


def test_fr_012_an_import_of_unknown_outcome_is_looked_for(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    with failing(alice, "import_key", OutcomeUnknown("no answer"), afterwards=True, backend="other"):
        record = migrate(alice, bob, "k")
    assert record.status is MigrationStatus.IN_PROGRESS
    (intent,) = alice.recovery.open_intents()
    assert (intent.kind, intent.step) == ("migrate", "import")
    with failing(alice, "find_key", GONE, backend="other"):
        assert alice.recovery.run() == ()
    assert len(alice.recovery.run()) == 1
    assert listed(alice, "other") == set()
    works_at(bob, "software")
    assert alice.migration.run(record.plan_id)[0].status is MigrationStatus.COMPLETED


def test_fr_012_from_the_switch_on_it_is_finished(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    with failing(alice, "disable_key", GONE):
        record = migrate(alice, bob, "k")
        assert record.status is MigrationStatus.IN_PROGRESS
        assert "not known to be disabled" in str(record.error_message)
        works_at(bob, "other")
        assert alice.migration.run(record.plan_id)[0].status is MigrationStatus.IN_PROGRESS
    (record,) = alice.migration.run(record.plan_id)
    assert (record.status, record.error_message) == (MigrationStatus.COMPLETED, None)
    assert alice.recovery.open_intents() == ()
    assert not is_usable(alice, "software", record)
    works_at(bob, "other")


def test_fr_012_a_switch_whose_commit_seems_to_fail_is_not_undone(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be undone is read from the state again: the last that this process knew is before the switch."""
    alice.keys.create("k", "ED25519", wrappable=True)
    real = MigrationRun._switch

    def switch(self: MigrationRun, *arguments: Any) -> None:
        real(self, *arguments)
        raise StateUnavailable("the connection was lost")

    monkeypatch.setattr(MigrationRun, "_switch", switch)
    record = migrate(alice, bob, "k")
    assert record.status is MigrationStatus.COMPLETED
    works_at(alice, "other")
    assert alice.recovery.open_intents() == ()


def test_fr_012_a_revocation_in_between_waits_for_nobody(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)

    def revoke(real: Any, *arguments: Any, **options: Any) -> Any:
        imported = real(*arguments, **options)
        bob.keys.revoke("k", "stolen")
        return imported

    with replaced(alice, "import_key", revoke, backend="other"):
        record = migrate(alice, bob, "k")
    assert record.status is MigrationStatus.FAILED
    assert "KeyDisabled" in str(record.error_message)
    assert listed(alice, "other") == set()
    assert alice.recovery.open_intents() == ()


def test_fr_012_the_key_takes_no_other_change_meanwhile(alice: Keyclave, bob: Keyclave) -> None:
    with long_ago():
        alice.keys.create("k", "AES_256", wrappable=True)
        alice.rotation.rotate("k")
    refused: list[str] = []

    def change(real: Any, *arguments: Any, **options: Any) -> Any:
        with pytest.raises(Conflict, match="under way"):
            bob.rotation.rotate("k")
        with pytest.raises(Conflict, match="a migration of this key is under way"):
            bob.keys.destroy("k", 1)
        refused.append("both")
        return real(*arguments, **options)

    with replaced(alice, "import_key", change, backend="other"):
        assert migrate(alice, bob, "k").status is MigrationStatus.COMPLETED
    assert refused == ["both", "both"]


def test_fr_012_a_validation_period_is_a_conflict_until_it_ends(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    alice.rotation.rotate("k", validation_period=timedelta(hours=1))
    record = migrate(alice, bob, "k")
    assert record.status is MigrationStatus.IN_PROGRESS
    assert "under validation" in str(record.error_message)
    alice.rotation.rollback("k", "test")
    assert alice.migration.run(record.plan_id)[0].status is MigrationStatus.COMPLETED


def test_fr_012_one_key_leaves_the_others(alice: Keyclave, bob: Keyclave) -> None:
    for name in ("a", "b", "c"):
        alice.keys.create(name, "ED25519", wrappable=True)
    plan = alice.migration.plan(["a", "b", "c"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    bob.keys.revoke("b", "stolen")
    records = alice.migration.run(plan.plan_id)
    assert [record.status.value for record in records] == ["COMPLETED", "FAILED", "COMPLETED"]


def test_fr_012_two_that_run_one_plan_migrate_each_key_once(alice: Keyclave, bob: Keyclave) -> None:
    names = [f"k{number}" for number in range(4)]
    for name in names:
        alice.keys.create(name, "ED25519", wrappable=True)
    plan = alice.migration.plan(names, "other")
    bob.migration.approve(plan.plan_id, "wanted")
    errors: list[Exception] = []

    def run(clave: Keyclave) -> None:
        try:
            clave.migration.run(plan.plan_id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(clave,)) for clave in (alice, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    records = alice.migration.run(plan.plan_id)
    assert [record.status for record in records] == [MigrationStatus.COMPLETED] * 4
    assert len(listed(alice, "other")) == 4
    assert alice.recovery.open_intents() == ()


def test_fr_012_a_rollback_that_cannot_remove_the_key_stays_open(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    record = migrate(alice, bob, "k")
    with failing(alice, "destroy_key", GONE, backend="other"):
        with pytest.raises(OutcomeUnknown, match="not known to be gone"):
            alice.migration.rollback(record.migration_id, "test")
        works_at(bob, "software")
        (now,) = alice.migration.list()
        assert (now.status, now.completed_at) == (MigrationStatus.IN_PROGRESS, None)
        assert "still be in the destination" in str(now.error_message)
        assert alice.recovery.run() == ()
    assert len(alice.recovery.run()) == 1
    (now,) = alice.migration.list()
    assert (now.status, now.rollback_reason) == (MigrationStatus.ROLLED_BACK, "test")
    assert listed(alice, "other") == set()


def test_fr_012_a_rollback_believes_the_listing_alone(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    record = migrate(alice, bob, "k")

    def lie(*_: Any) -> DestroyResult:
        return DestroyResult(state=DestroyState.DESTROYED)

    with (
        replaced(alice, "destroy_key", lie, backend="other"),
        pytest.raises(OutcomeUnknown, match="lists it still"),
    ):
        alice.migration.rollback(record.migration_id, "test")
    assert alice.migration.list()[0].status is MigrationStatus.IN_PROGRESS
    assert len(alice.recovery.run()) == 1
    assert alice.migration.list()[0].status is MigrationStatus.ROLLED_BACK


@pytest.mark.parametrize("method", ["enable_key", "bind_signer"])
def test_fr_012_a_rollback_whose_source_does_not_work_changes_nothing(
    alice: Keyclave, bob: Keyclave, method: str
) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    record = migrate(alice, bob, "k")
    with failing(alice, method, GONE), pytest.raises((BackendUnavailable, IntegrityError)):
        alice.migration.rollback(record.migration_id, "test")
    works_at(bob, "other")
    assert alice.migration.list()[0].status is MigrationStatus.COMPLETED
    assert alice.recovery.open_intents() == ()
    assert not is_usable(alice, "software", record)


def test_fr_012_a_migration_that_was_not_begun_is_given_up(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    with failing(alice, "begin_import", GONE, backend="other"):
        record = migrate(alice, bob, "k")
    assert alice.migration.rollback(record.migration_id, "no more wanted").status is MigrationStatus.ROLLED_BACK
    assert alice.migration.run(record.plan_id)[0].status is MigrationStatus.ROLLED_BACK
    works_at(bob, "software")


@pytest.mark.parametrize("change", ["rotate", "revoke", "migrate"])
def test_fr_012_a_rollback_is_refused_for_a_key_that_has_moved_on(
    alice: Keyclave, bob: Keyclave, change: str
) -> None:
    alice.keys.create("k", "ED25519")
    record = migrate(alice, bob, "k")
    if change == "rotate":
        alice.rotation.rotate("k")
    elif change == "revoke":
        alice.keys.revoke("k", "stolen")
    else:
        plan = alice.migration.plan(["k"], "software")
        bob.migration.approve(plan.plan_id, "back")
        assert alice.migration.run(plan.plan_id)[-1].status is MigrationStatus.COMPLETED
    with pytest.raises((Conflict, KeyDisabled)):
        alice.migration.rollback(record.migration_id, "test")
    assert alice.recovery.open_intents() == ()


@pytest.mark.parametrize("exportable", [True, False])
def test_fr_012_the_source_is_retired_after_30_days(alice: Keyclave, bob: Keyclave, *, exportable: bool) -> None:
    with long_ago():
        alice.keys.create("k", "ED25519", wrappable=exportable)
        record = migrate(alice, bob, "k")
    with pytest.raises(PolicyViolation, match="clock"):
        alice.migration.retire(record.migration_id, confirm="k")
    alice.rotation.confirm_clock()
    with pytest.raises(InvalidArgument, match="confirmed by the name"):
        alice.migration.retire(record.migration_id, confirm="other")
    retired = alice.migration.retire(record.migration_id, confirm="k")
    assert retired.retired_at is not None
    assert record.source_location.label not in listed(alice, "software")
    works_at(bob, "other")
    assert alice.recovery.open_intents() == ()
    with pytest.raises(Conflict, match="retired"):
        alice.migration.rollback(record.migration_id, "too late")
    with pytest.raises(Conflict, match="retired already"):
        alice.migration.retire(record.migration_id, confirm="k")


@pytest.mark.parametrize("hook", ["destroy_key", "list_keys"])
def test_fr_012_a_backend_that_cannot_show_that_a_key_is_gone_takes_no_part(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    with long_ago():
        alice.keys.create("k", "ED25519", wrappable=True)
        record = migrate(alice, bob, "k")
    alice.rotation.confirm_clock()
    for backend in ("software", "other"):
        opened = alice._backends.get(backend)
        monkeypatch.setattr(opened, "has", lambda asked, has=opened.has: asked != hook and has(asked))
    with pytest.raises(CapabilityUnsupported, match=hook):
        alice.migration.retire(record.migration_id, confirm="k")
    with pytest.raises(CapabilityUnsupported, match=hook):
        alice.migration.rollback(record.migration_id, "test")
    (back,) = alice.migration.plan(["k"], "software").versions
    assert (back.strategy, hook in back.reason) == (None, True)
    assert alice.recovery.open_intents() == ()
    works_at(alice, "other")


def test_fr_012_the_source_is_kept_for_30_days(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    record = migrate(alice, bob, "k")
    alice.rotation.confirm_clock()
    with pytest.raises(PolicyViolation, match="kept until"):
        alice.migration.retire(record.migration_id, confirm="k")
    assert record.source_location.label in listed(alice, "software")


def test_fr_012_an_interrupted_retirement_is_finished(alice: Keyclave, bob: Keyclave) -> None:
    with long_ago():
        alice.keys.create("k", "ED25519", wrappable=True)
        record = migrate(alice, bob, "k")
    alice.rotation.confirm_clock()
    with failing(alice, "destroy_key", GONE), pytest.raises(OutcomeUnknown, match="not known to be gone"):
        alice.migration.retire(record.migration_id, confirm="k")
    assert len(alice.recovery.run()) == 1
    assert alice.migration.list()[0].retired_at is not None
    assert record.source_location.label not in listed(alice, "software")


@contextmanager
def after_the_destruction(clave: Keyclave, act: Callable[[], object]) -> Iterator[None]:
    """Let somebody else do something between the end of the old version and the note that the source is retired."""
    real = Destruction.destroy

    def destroy(destruction: Destruction, name: str, number: int) -> KeyHandle:
        destroyed = real(destruction, name, number)
        if destruction is clave.migration._retirement._destruction:
            act()
        return destroyed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Destruction, "destroy", destroy)
        yield


def test_fr_012_of_two_that_retire_a_source_one_does(alice: Keyclave, bob: Keyclave) -> None:
    with long_ago():
        alice.keys.create("k", "ED25519")
        record = migrate(alice, bob, "k")
    alice.rotation.confirm_clock()
    retired: list[KeyMigrationRecord] = []

    def retire() -> None:
        retired.append(bob.migration.retire(record.migration_id, confirm="k"))

    with after_the_destruction(alice, retire), pytest.raises(Conflict, match="somebody else changed this migration"):
        alice.migration.retire(record.migration_id, confirm="k")
    assert alice.migration.list() == tuple(retired)
    ends = [r.status.value for r in alice.audit.records() if r.operation_type == "RETIRE_SOURCE"]
    assert sorted(ends) == ["FAILED", "SUCCESS"]


@pytest.mark.parametrize("rolled_back", [True, False])
def test_fr_012_a_source_whose_destruction_was_called_off_is_not_retired(
    as_: As, config: Path, installed: Callable[..., None], tmp_path: Path, *, rolled_back: bool
) -> None:
    installed("foreign")
    config.write_text(config.read_text() + foreign_settings(tmp_path / "shared", deletion_days="7"))
    alice, bob = as_("alice"), as_("bob")
    with long_ago():
        alice.keys.create("k", "ED25519", backend="shared")
        record = migrate(alice, bob, "k")
    alice.rotation.confirm_clock()

    def call_it_off() -> None:
        bob.keys.cancel_destruction("k", 1)
        if rolled_back:
            bob.migration.rollback(record.migration_id, "test")

    with after_the_destruction(alice, call_it_off), pytest.raises(Conflict, match="somebody else"):
        alice.migration.retire(record.migration_id, confirm="k")
    (now,) = alice.migration.list()
    assert (now.status, now.retired_at) == (("ROLLED_BACK" if rolled_back else "COMPLETED"), None)
    works_at(alice, "shared" if rolled_back else "other")


def test_fr_012_a_migration_is_proven_again_at_any_time(alice: Keyclave, bob: Keyclave) -> None:
    for exportable, algorithm in ((True, "ED25519"), (False, "RSA_2048"), (True, "AES_256"), (False, "AES_256")):
        name = f"{algorithm.lower()}-{exportable}".lower()
        alice.keys.create(name, algorithm, wrappable=exportable)
        record = migrate(alice, bob, name)
        assert len(bob.migration.verify(record.migration_id).looks) == 3
    source = alice._backends.get("software")
    source.destroy_key(source.find_key(KeyLabel.parse(record.source_location.label)))
    with pytest.raises(IntegrityError, match="gone before it was retired"):
        bob.migration.verify(record.migration_id)


def test_fr_012_an_old_version_that_need_not_be_kept_any_more_leaves_the_proof(
    alice: Keyclave, bob: Keyclave
) -> None:
    with long_ago():
        alice.keys.create("k", "ED25519")
        record = migrate(alice, bob, "k")
    alice.keys.destroy("k", 1)
    assert "version 1 was destroyed" in alice.migration.verify(record.migration_id).looks[-1]
    with pytest.raises(Conflict, match="retired or destroyed"):
        alice.migration.rollback(record.migration_id, "too late")
    works_at(bob, "other")


def test_fr_012_a_migration_without_proof_is_not_proven(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    with failing(alice, "begin_import", KeyNotFound("no"), backend="other"):
        record = migrate(alice, bob, "k")
    with pytest.raises(Conflict, match="no proof"):
        alice.migration.verify(record.migration_id)
