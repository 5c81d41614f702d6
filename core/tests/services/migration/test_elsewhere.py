"""The settings name another backend by now than a plan did: what it says of a key means nothing (FR-012)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.errors import KeyNotFound, OutcomeUnknown, PolicyViolation
from keyclave.models import MigrationStatus, SecurityLevel
from msgspec.structs import replace

from core.tests.services.failing import failing
from core.tests.services.long_ago import long_ago
from core.tests.services.migration.migrating import alice, as_, bob, create_requiring_hsm, listed, migrate

__all__ = ["alice", "as_", "bob"]

ELSEWHERE = {"connection_uri": "pkcs11:token=another"}


@contextmanager
def describing(clave: Keyclave, backend: str, **described: object) -> Iterator[None]:
    """Let a backend say something else of itself, as another one of its name would."""
    opened: Any = clave._backends.get(backend)
    before = opened.description
    opened.description = replace(before, **described)
    try:
        yield
    finally:
        opened.description = before


@contextmanager
def replaced_by_an_empty_one(clave: Keyclave, backend: str) -> Iterator[None]:
    """Let another backend without keys have the name of this one."""
    opened: Any = clave._backends.get(backend)
    methods = {"destroy_key": opened.destroy_key, "find_key": opened.find_key, "list_keys": opened.list_keys}

    def missing(*_: object) -> None:
        raise KeyNotFound("no such key")

    opened.destroy_key = opened.find_key = missing
    opened.list_keys = lambda: iter(())
    try:
        with describing(clave, backend, **ELSEWHERE):
            yield
    finally:
        for name, method in methods.items():
            setattr(opened, name, method)


@pytest.mark.parametrize("wrappable", [True, False])
@pytest.mark.parametrize("described", [ELSEWHERE, {"security_level": SecurityLevel.HSM}])
def test_fr_012_a_destination_that_is_another_by_now_was_not_approved(
    alice: Keyclave, bob: Keyclave, described: dict[str, object], *, wrappable: bool
) -> None:
    alice.keys.create("k", "ED25519", wrappable=wrappable)
    plan = alice.migration.plan(["k"], "other")
    bob.migration.approve(plan.plan_id, "wanted")
    with describing(alice, "other", **described):
        (record,) = alice.migration.run(plan.plan_id)
    assert record.status is MigrationStatus.FAILED
    assert "approved" in str(record.error_message)
    assert listed(alice, "other") == set()


def test_fr_012_a_rollback_is_open_until_the_destination_of_the_plan_says_that_the_key_is_gone(
    alice: Keyclave, bob: Keyclave
) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    record = migrate(alice, bob, "k")
    with replaced_by_an_empty_one(alice, "other"):
        with pytest.raises(OutcomeUnknown, match="pkcs11:token=another"):
            alice.migration.rollback(record.migration_id, "test")
        assert alice.recovery.run() == ()
        assert alice.migration.list()[0].status is MigrationStatus.IN_PROGRESS
        assert alice.keys.sign("k", b"back").backend_id == "software"
    assert len(alice.recovery.run()) == 1
    assert alice.migration.list()[0].status is MigrationStatus.ROLLED_BACK
    assert listed(alice, "other") == set()


def test_fr_012_what_was_begun_in_another_destination_is_not_undone_by_this_one(
    alice: Keyclave, bob: Keyclave
) -> None:
    alice.keys.create("k", "ED25519", wrappable=True)
    with failing(alice, "import_key", OutcomeUnknown("no answer"), afterwards=True, backend="other"):
        record = migrate(alice, bob, "k")
    assert record.status is MigrationStatus.IN_PROGRESS
    (intent,) = alice.recovery.open_intents()
    with replaced_by_an_empty_one(alice, "other"):
        assert alice.recovery.run() == ()
        assert alice.recovery.open_intents() == (intent,)
    assert alice.recovery.run() == (intent,)
    assert listed(alice, "other") == set()


def test_fr_012_a_source_is_retired_where_it_was(alice: Keyclave, bob: Keyclave) -> None:
    with long_ago():
        alice.keys.create("k", "ED25519", wrappable=True)
        record = migrate(alice, bob, "k")
    alice.rotation.confirm_clock()
    with replaced_by_an_empty_one(alice, "software"):
        with pytest.raises(OutcomeUnknown, match="pkcs11:token=another"):
            alice.migration.retire(record.migration_id, confirm="k")
        assert alice.migration.list()[0].retired_at is None
    assert len(alice.recovery.run()) == 1
    assert alice.migration.list()[0].retired_at is not None


def test_fr_012_a_source_that_lost_its_level_does_not_get_its_key_back(alice: Keyclave, bob: Keyclave) -> None:
    with describing(alice, "software", security_level=SecurityLevel.HSM):
        create_requiring_hsm(alice, "ED25519")
        record = migrate(alice, bob, "k", exception="the token is at its end")
    with pytest.raises(PolicyViolation, match="requires HSM"):
        alice.migration.rollback(record.migration_id, "test")
    assert alice.keys.sign("k", b"where it works").backend_id == "other"
    assert alice.recovery.open_intents() == ()
