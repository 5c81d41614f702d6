"""Keys go from one backend to another: plan, approve, run, roll back (FR-012)."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave import Keyclave
from keyclave.errors import Conflict, KeyDisabled
from keyclave.models import KeyStatus, MigrationStatus, MigrationStrategy
from keyclave.plugin import KeyLabel
from keyclave.services.migration import approval, notes

from core.tests.services.clock import Clock
from core.tests.services.long_ago import long_ago
from core.tests.services.migration.migrating import alice, as_, bob, listed, migrate

__all__ = ["alice", "as_", "bob"]

MESSAGE = b"signed here and there"


def verify_independently(clave: Keyclave, version: int, signature: bytes) -> None:
    public_key = clave.keys.public_key("k", version)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_fr_012_the_source_of_a_migration_while_the_clock_was_behind_is_kept_as_long(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.rotation.confirm_clock()
    with long_ago(days=20_000):
        alice.keys.create("k", "ED25519", wrappable=True)
    for module in (approval, notes):
        Clock(monkeypatch, module).go(seconds=-timedelta(days=10_000).total_seconds())
    record = migrate(alice, bob, "k")
    assert record.completed_at is not None
    assert record.source_retained_until is not None
    assert datetime.now(UTC) - record.completed_at > timedelta(days=9_999)
    assert record.source_retained_until - datetime.now(UTC) > timedelta(days=29)


def test_fr_012_a_wrapped_key_goes_as_it_is(alice: Keyclave, bob: Keyclave) -> None:
    before = alice.keys.create("k", "ECDSA_P256", wrappable=True)
    signed = alice.keys.sign("k", MESSAGE)
    record = migrate(alice, bob, "k")
    assert (record.status, record.strategy) == (MigrationStatus.COMPLETED, MigrationStrategy.WRAPPED)
    assert record.integrity_hash is not None
    assert record.source_retained_until is not None
    assert record.completed_at is not None
    assert record.source_retained_until - record.completed_at >= timedelta(days=30)
    assert record.administrative_approval.approved_by == "bob"

    after = alice.keys.get("k")
    assert (after.key_id, after.version, after.backend_id) == (before.key_id, 1, "other")
    again = alice.keys.sign("k", MESSAGE)
    assert (again.version, again.backend_id) == (1, "other")
    for signature in (signed.signature, again.signature):
        assert bob.keys.verify("k", MESSAGE, signature) == 1
        verify_independently(bob, 1, signature)
    assert listed(alice, "other") == {record.destination_location and record.destination_location.label}
    assert record.source_location.label in listed(alice, "software")
    assert alice.recovery.open_intents() == ()


def test_fr_012_where_the_source_cannot_release_its_key_a_new_one_takes_over(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ECDSA_P256")
    signed = alice.keys.sign("k", MESSAGE)
    record = migrate(alice, bob, "k")
    assert (record.status, record.strategy) == (MigrationStatus.COMPLETED, MigrationStrategy.REKEYED)
    assert record.destination_version == 2
    old, new = alice.keys.versions("k")
    assert (old.status, old.backend_id) == (KeyStatus.DEPRECATED, "software")
    assert (new.status, new.backend_id) == (KeyStatus.ACTIVE, "other")
    again = alice.keys.sign("k", MESSAGE)
    assert (again.version, again.backend_id) == (2, "other")
    verify_independently(alice, 2, again.signature)
    assert alice.keys.verify("k", MESSAGE, signed.signature) == 1


@pytest.mark.parametrize("exportable", [True, False])
def test_fr_012_the_source_is_kept_and_signs_no_more(alice: Keyclave, bob: Keyclave, exportable: bool) -> None:  # noqa: FBT001  a case
    alice.keys.create("k", "ED25519", wrappable=exportable)
    public_key = alice.keys._stored_public_key("k", 1)
    record = migrate(alice, bob, "k")
    source = alice._backends.get("software")
    reference = source.find_key(KeyLabel.parse(record.source_location.label))
    with pytest.raises(KeyDisabled):
        source.bind_signer(reference, public_key, "ED25519", prehashed=False)(MESSAGE)


def test_fr_012_a_wrapped_key_decrypts_there_what_it_encrypted_here(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "AES_256", wrappable=True)
    first = alice.keys.encrypt("k", MESSAGE)
    alice.rotation.rotate("k")
    second = alice.keys.encrypt("k", MESSAGE)
    plan = alice.migration.plan(["k"], "other")
    assert [planned.version for planned in plan.possible] == [1, 2]
    bob.migration.approve(plan.plan_id, "wanted")
    assert {record.status for record in alice.migration.run(plan.plan_id)} == {MigrationStatus.COMPLETED}
    assert {version.backend_id for version in alice.keys.versions("k")} == {"other"}
    for sealed in (first, second, alice.keys.encrypt("k", MESSAGE)):
        assert bob.keys.decrypt("k", sealed) == MESSAGE


def test_fr_012_a_new_key_leaves_the_old_one_to_decrypt(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "AES_256")
    before = alice.keys.encrypt("k", MESSAGE)
    record = migrate(alice, bob, "k")
    assert record.strategy is MigrationStrategy.REKEYED
    assert alice.keys.decrypt("k", before) == MESSAGE
    assert bob.keys.decrypt("k", alice.keys.encrypt("k", MESSAGE)) == MESSAGE
    with pytest.raises(Conflict, match="decrypted by the new key only"):
        alice.migration.rollback(record.migration_id, "test")


def test_fr_012_a_rollback_shows_that_the_destination_lists_it_no_more(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ECDSA_P256", wrappable=True)
    record = migrate(alice, bob, "k")
    signed = alice.keys.sign("k", MESSAGE)
    back = alice.migration.rollback(record.migration_id, "partners cannot reach it")
    assert (back.status, back.rollback_reason) == (MigrationStatus.ROLLED_BACK, "partners cannot reach it")
    assert listed(alice, "other") == set()
    again = bob.keys.sign("k", MESSAGE)
    assert (again.version, again.backend_id) == (1, "software")
    for signature in (signed.signature, again.signature):
        verify_independently(alice, 1, signature)
    assert alice.recovery.open_intents() == ()
    with pytest.raises(Conflict, match="ROLLED_BACK"):
        alice.migration.rollback(record.migration_id, "again")


def test_fr_012_after_a_rollback_what_the_new_key_signed_verifies(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ECDSA_P256")
    record = migrate(alice, bob, "k")
    signed = alice.keys.sign("k", MESSAGE)
    assert alice.migration.rollback(record.migration_id, "test").status is MigrationStatus.ROLLED_BACK
    old, new = alice.keys.versions("k")
    assert (old.status, new.status) == (KeyStatus.ACTIVE, KeyStatus.DEPRECATED)
    assert new.destroyed_at is not None
    assert listed(alice, "other") == set()
    assert bob.keys.sign("k", MESSAGE).version == 1
    assert bob.keys.verify("k", MESSAGE, signed.signature) == 2
    assert alice.rotation.rotate("k").version == 3


def test_threads_go_on_signing_while_the_key_goes_and_comes_back(alice: Keyclave, bob: Keyclave) -> None:
    alice.keys.create("k", "ECDSA_P256", wrappable=True)
    alice.keys.create("secret", "AES_256", wrappable=True)
    ending, used, failed = threading.Event(), set[str](), list[Exception]()

    def work(clave: Keyclave) -> None:
        while not ending.is_set():
            try:
                signed = clave.keys.sign("k", MESSAGE)
                verify_independently(clave, 1, signed.signature)
                used.add(signed.backend_id)
                assert clave.keys.decrypt("secret", clave.keys.encrypt("secret", MESSAGE)) == MESSAGE
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(clave,)) for clave in (alice, bob)]
    for thread in threads:
        thread.start()
    try:
        plan = alice.migration.plan(["k", "secret"], "other")
        bob.migration.approve(plan.plan_id, "wanted")
        for record in alice.migration.run(plan.plan_id):
            assert record.status is MigrationStatus.COMPLETED
        time.sleep(0.3)
        for record in alice.migration.list():
            alice.migration.rollback(record.migration_id, "test")
        time.sleep(0.3)
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert used == {"software", "other"}
