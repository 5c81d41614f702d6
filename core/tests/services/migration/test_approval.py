"""What a plan says, who approves it, and that an approval is used once, for exactly that (FR-012)."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.errors import ConfigurationError, Conflict, InvalidArgument, KeyNotFound, PolicyViolation
from keyclave.models import MigrationStatus, OperationType, SecurityLevel
from keyclave.services.migration import approval
from msgspec.structs import replace

from core.tests.services.failing import replaced
from core.tests.services.migration.migrating import As, alice, as_, bob, create_requiring_hsm, listed, migrate

__all__ = ["alice", "as_", "bob"]

HOOKS = ("begin_import", "wrap_key", "import_key", "create_key", "destroy_key", "disable_key", "encrypt")


class NextDay(datetime):
    """A clock that is ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one: it is stored
        return datetime.now(tz) + timedelta(hours=24)


def test_fr_012_a_plan_asks_no_backend_to_change_anything(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    before = listed(alice, "software")
    called: list[str] = []
    for backend in ("software", "other"):
        opened = alice._backends.get(backend)
        for hook in HOOKS:
            setattr(opened, hook, lambda *_, **__: called.append("a hook"))
    plan = alice.migration.plan(["k"], "other")
    assert called == []
    assert (listed(alice, "software"), listed(alice, "other")) == (before, set())
    assert alice.migration.plans() == bob.migration.plans() == (plan,)
    assert plan.requested_by == "alice"


def test_fr_012_a_plan_says_of_each_version_how_it_goes_and_why(alice: Keyclave) -> None:
    alice.keys.create("wrapped", "ED25519", wrappable=True)
    alice.keys.create("stays", "ED25519")
    alice.rotation.rotate("stays")
    alice.keys.create("revoked", "ED25519")
    alice.keys.revoke("revoked", "test")
    alice.keys.create("there", "ED25519", backend="other")
    plan = alice.migration.plan(["wrapped", "stays", "revoked", "there"], "other")
    found = [(p.key_name, p.version, p.strategy and p.strategy.value) for p in plan.versions]
    assert found == [
        ("wrapped", 1, "WRAPPED"),
        ("stays", 1, None),
        ("stays", 2, "REKEYED"),
        ("revoked", 1, None),
        ("there", 1, None),
    ]
    reasons = {(p.key_name, p.version): p.reason for p in plan.versions}
    assert "wraps it by" in reasons["wrapped", 1]
    assert "verified without its backend" in reasons["stays", 1]
    assert "cannot leave" in reasons["stays", 2]
    assert "REVOKED" in reasons["revoked", 1]
    assert "already" in reasons["there", 1]


@pytest.mark.parametrize("names", [[], ["k", "k"], ["K"]])
def test_a_plan_needs_names(alice: Keyclave, names: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        alice.migration.plan(names, "other")


def test_a_plan_needs_what_is_there(alice: Keyclave) -> None:
    alice.keys.create("k", "ED25519")
    with pytest.raises(KeyNotFound):
        alice.migration.plan(["missing"], "other")
    with pytest.raises(ConfigurationError):
        alice.migration.plan(["k"], "missing")
    for call in (
        lambda: alice.migration.approve(uuid.uuid4(), "wanted"),
        lambda: alice.migration.run(uuid.uuid4()),
        lambda: alice.migration.verify(uuid.uuid4()),
        lambda: alice.migration.rollback(uuid.uuid4(), "test"),
        lambda: alice.migration.retire(uuid.uuid4(), confirm="k"),
    ):
        with pytest.raises(InvalidArgument, match="there is no such migration"):
            call()


@pytest.mark.parametrize("approver", ["alice", "ALICE", "\uff41lice"])
def test_fr_012_nobody_approves_an_own_plan(alice: Keyclave, as_: As, approver: str) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    plan = alice.migration.plan(["k"], "other")
    with pytest.raises(PolicyViolation, match="another than its requester"):
        as_(approver).migration.approve(plan.plan_id, "wanted")
    with pytest.raises(PolicyViolation, match="not approved"):
        alice.migration.run(plan.plan_id)
    assert alice.migration.list() == ()
    assert listed(alice, "other") == set()
    refused = alice.audit.records(operation_type=OperationType.APPROVE_MIGRATION)
    assert [(r.requesting_principal, r.status) for r in refused] == [(approver, "FAILED")]


def test_fr_012_an_approval_expires(alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    plan = alice.migration.plan(["k"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    with monkeypatch.context() as later:
        later.setattr(approval, "datetime", NextDay)
        with pytest.raises(PolicyViolation, match="expired"):
            alice.migration.run(plan.plan_id)
    assert alice.migration.run(plan.plan_id)[0].status is MigrationStatus.COMPLETED


def test_fr_012_no_migration_begins_after_the_approval_expired(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    alice.keys.create("late", "ED25519", wrappable=True)
    plan = alice.migration.plan(["k", "late"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    first, second = alice.migration.run(plan.plan_id, lambda *_: monkeypatch.setattr(approval, "datetime", NextDay))
    assert (first.status, second.status) == (MigrationStatus.COMPLETED, MigrationStatus.FAILED)
    assert "expired" in str(second.error_message)
    assert alice.keys.sign("late", b"still there").backend_id == "software"


def test_fr_012_an_approval_is_used_once(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    record = migrate(alice, bob, "k")
    alice.migration.rollback(record.migration_id, "test")
    (again,) = alice.migration.run(record.plan_id)
    assert (again.migration_id, again.status) == (record.migration_id, MigrationStatus.ROLLED_BACK)
    assert alice.keys.get("k").backend_id == "software"
    with pytest.raises(Conflict, match="run already"):
        bob.migration.approve(record.plan_id, "once more")
    (approval,) = bob.migration.approvals(record.plan_id)
    assert approval.consumed_at is not None


def test_fr_012_what_is_no_longer_as_it_was_approved_is_not_migrated(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    plan = alice.migration.plan(["k"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    alice.rotation.rotate("k")
    (record,) = alice.migration.run(plan.plan_id)
    assert record.status is MigrationStatus.FAILED
    assert "as it was planned and approved" in str(record.error_message)
    assert listed(alice, "other") == set()


def test_fr_012_a_version_that_went_elsewhere_leaves_the_others(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    alice.keys.create("stays", "ED25519", wrappable=True)
    plan = alice.migration.plan(["k", "stays"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    assert migrate(alice, bob, "k").status is MigrationStatus.COMPLETED
    first, second = alice.migration.run(plan.plan_id)
    assert (first.status, second.status) == (MigrationStatus.FAILED, MigrationStatus.COMPLETED)
    assert "as it was planned and approved" in str(first.error_message)
    assert alice.keys.sign("k", b"where it went").backend_id == "other"


def test_fr_012_of_two_approvals_the_one_that_lasts_longer_is_used(alice: Keyclave, bob: Keyclave, as_: As) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    carol = as_("carol")
    for _ in range(4):
        plan = alice.migration.plan(["k"], "other")
        bob.migration.approve(plan.plan_id, "early")
        carol.migration.approve(plan.plan_id, "late")
        (record,) = alice.migration.run(plan.plan_id)
        assert record.administrative_approval.approved_by == "carol"
        alice.migration.rollback(record.migration_id, "test")


def test_fr_012_a_destination_that_changed_was_not_approved(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    plan = alice.migration.plan(["k"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    opened = alice._backends.get("other")
    opened.description = opened.description.__class__(
        **{f: getattr(opened.description, f) for f in opened.description.__struct_fields__}
        | {"connection_uri": "https://elsewhere.example"}
    )
    (record,) = alice.migration.run(plan.plan_id)
    assert record.status is MigrationStatus.FAILED
    assert listed(alice, "other") == set()


def test_fr_012_all_of_a_migration_is_on_record(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    record = migrate(alice, bob, "k")
    alice.migration.verify(record.migration_id)
    alice.migration.rollback(record.migration_id, "test")
    done = [
        (r.operation_type.value, r.requesting_principal, r.key_handle_reference)
        for r in alice.audit.records()
        if r.operation_type is not OperationType.KEY_GENERATION
    ]
    plan, key = f"plan:{record.plan_id}", record.source_key_id
    assert done == [
        ("PLAN_MIGRATION", "alice", "backend:other"),
        ("APPROVE_MIGRATION", "bob", plan),
        ("MIGRATE", "alice", plan),
        ("MIGRATE", "alice", key),
        ("VERIFY_MIGRATION", "alice", key),
        ("REVERT_MIGRATION", "alice", key),
    ]
    (switch,) = (r for r in alice.audit.records(key_reference=key) if r.operation_type is OperationType.MIGRATE)
    assert switch.audit_trail_reference == record.audit_reference
    assert alice.audit.verify().ok


def test_a_reason_is_needed(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    plan = alice.migration.plan(["k"], "other")
    for reason in ("", " ", "x" * 1025):
        with pytest.raises(InvalidArgument, match="reason"):
            bob.migration.approve(plan.plan_id, reason)
        with pytest.raises(InvalidArgument, match="reason"):
            alice.migration.plan(["k"], "other", exception=reason)


def test_progress_is_told_after_each(alice: Keyclave, bob: Keyclave) -> None:
    for name in ("a", "b", "c"):
        alice.keys.create(name, "ED25519", wrappable=True)
    plan = alice.migration.plan(["c", "a", "b"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    told: list[tuple[str, int, int]] = []
    with replaced(alice, "disable_key", lambda real, *a: real(*a)):
        alice.migration.run(plan.plan_id, lambda record, done, total: told.append((record.key_name, done, total)))
    assert told == [("c", 1, 3), ("a", 2, 3), ("b", 3, 3)]


def test_fr_012_only_an_exception_lets_a_key_go_to_a_lower_level(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = alice._backends.get("software")
    monkeypatch.setattr(opened, "description", replace(opened.description, security_level=SecurityLevel.HSM))
    create_requiring_hsm(alice, "ED25519")
    (refused,) = alice.migration.plan(["k"], "other").versions
    assert refused.strategy is None
    assert "refused as a downgrade" in refused.reason

    record = migrate(alice, bob, "k", exception="the token is at its end")
    assert (record.status, record.source_required_level) == (MigrationStatus.COMPLETED, SecurityLevel.HSM)
    assert bob.migration.plans()[-1].exception == "the token is at its end"
    assert alice.keys.sign("k", b"signed in software").backend_id == "other"
    alice.migration.rollback(record.migration_id, "test")
    assert alice.keys.sign("k", b"signed in the token").backend_id == "software"
    with pytest.raises(PolicyViolation, match="requires HSM"):
        bob.keys.sign("k", b"where the token shows less")


def test_fr_012_a_rollback_restores_the_level_once_no_version_is_below_it_by_exception(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = alice._backends.get("software")
    monkeypatch.setattr(opened, "description", replace(opened.description, security_level=SecurityLevel.HSM))
    create_requiring_hsm(alice, "AES_256")
    ciphertext = alice.keys.encrypt("k", b"by version 1")
    alice.rotation.rotate("k")
    plan = alice.migration.plan(["k"], "other", exception="the token is at its end")
    bob.migration.approve(plan.plan_id, "wanted")
    first, second = alice.migration.run(plan.plan_id)
    assert (first.status, second.status) == (MigrationStatus.COMPLETED,) * 2
    alice.migration.rollback(second.migration_id, "test")
    assert alice.keys.decrypt("k", ciphertext) == b"by version 1"
    alice.migration.rollback(first.migration_id, "test")
    assert alice.keys.decrypt("k", ciphertext) == b"by version 1"
    with alice._store.read() as state:
        assert state.keys.by_name("k").required_security_level is SecurityLevel.HSM


def test_fr_012_a_rollback_restores_the_level_without_a_look_at_other_keys(
    alice: Keyclave, bob: Keyclave, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.keys.create("other", "ED25519", wrappable=True)
    other = migrate(alice, bob, "other")
    opened: Any = alice._backends.get("software")
    monkeypatch.setattr(opened, "description", replace(opened.description, security_level=SecurityLevel.HSM))
    create_requiring_hsm(alice, "ED25519")
    record = migrate(alice, bob, "k", exception="the token is at its end")
    (database,) = config.parent.rglob("*.db")
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        changed = "UPDATE migrations SET mac = zeroblob(32) WHERE migration_id = ?"
        connection.execute(changed, [other.migration_id.hex])
    alice.migration.rollback(record.migration_id, "test")
    with alice._store.read() as state:
        assert state.keys.by_name("k").required_security_level is SecurityLevel.HSM


def test_a_plan_says_that_its_source_cannot_disable_the_key(alice: Keyclave, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    assert alice.migration.plan(["k"], "other").versions[0].consequences == ()
    opened = alice._backends.get("software")
    has = opened.has
    monkeypatch.setattr(opened, "has", lambda hook: hook != "disable_key" and has(hook))
    (told,) = alice.migration.plan(["k"], "other").versions[0].consequences
    assert told.startswith("'software' cannot disable keys")
