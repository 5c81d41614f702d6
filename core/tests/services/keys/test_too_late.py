"""Who was stopped between saying what it is about to do and doing it does nothing that others have done since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from keyclave import Keyclave
from keyclave.errors import Conflict
from keyclave.models import KeyStatus, MigrationStatus
from keyclave.services.ownership.leases import LeaseLost
from keyclave.state.store import Transaction

from core.tests.fleet import be_late, fall_silent
from core.tests.services.conftest import Reopen
from core.tests.services.foreign_keys import foreign_settings
from core.tests.services.long_ago import long_ago
from core.tests.services.migration.migrating import alice, as_, bob, migrate

__all__ = ["alice", "as_", "bob"]


@contextmanager
def stopped(
    clave: Keyclave, meanwhile: Callable[[], object], monkeypatch: pytest.MonkeyPatch, *, after: int = 1
) -> Iterator[None]:
    """Stop an instance after some of its transactions, until its lease is over and others have done something."""
    real: Any = clave._owner.write
    left = after

    @contextmanager
    def write(operation_id: UUID, *others: UUID) -> Iterator[Transaction]:
        nonlocal left
        with real(operation_id, *others) as state:
            yield state
        left -= 1
        if left:
            return
        monkeypatch.setattr(clave._owner, "write", real)
        fall_silent(clave)
        be_late(clave)
        meanwhile()

    monkeypatch.setattr(clave._owner, "write", write)
    yield


@pytest.fixture
def fleet(installed: Callable[..., None], reopen: Reopen, tmp_path: Path) -> tuple[Keyclave, Keyclave]:
    """Two instances, and a key whose first version is deprecated, in a backend that destroys after seven days."""
    installed("foreign")
    settings = foreign_settings(tmp_path / "shared", deletion_days="7")
    here, there = reopen(settings), reopen(settings)
    with long_ago():
        here.keys.create("k", "ED25519", backend="shared")
        here.rotation.rotate("k")
    return here, there


def test_a_destruction_that_was_called_off_since_is_not_begun_again(
    fleet: tuple[Keyclave, Keyclave], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = fleet

    def call_it_off() -> None:
        assert [intent.kind for intent in there.recovery.run()] == ["destroy"]
        there.keys.cancel_destruction("k", 1)

    with stopped(here, call_it_off, monkeypatch), pytest.raises(LeaseLost):
        here.keys.destroy("k", 1)
    assert here.keys.versions("k")[0].destroyed_at is None
    assert list((tmp_path / "shared").glob("*.date")) == []


def test_a_destruction_that_was_begun_again_since_is_not_called_off(
    fleet: tuple[Keyclave, Keyclave], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = fleet
    here.keys.destroy("k", 1)

    def begin_it_again() -> None:
        assert [intent.kind for intent in there.recovery.run()] == ["cancel"]
        there.keys.destroy("k", 1)

    with stopped(here, begin_it_again, monkeypatch), pytest.raises(LeaseLost):
        here.keys.cancel_destruction("k", 1)
    assert here.keys.versions("k")[0].destroyed_at is not None
    assert len(list((tmp_path / "shared").glob("*.date"))) == 1


def test_fr_012_a_version_that_is_active_again_since_it_was_read_is_not_destroyed(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that is rolled back makes the old version the one that signs."""
    with long_ago():
        alice.keys.create("k", "ED25519", backend="software")
        record = migrate(alice, bob, "k")
    real: Any = alice._owner.write

    @contextmanager
    def write(operation_id: UUID, *others: UUID) -> Iterator[Transaction]:
        monkeypatch.setattr(alice._owner, "write", real)
        bob.migration.rollback(record.migration_id, "test")
        with real(operation_id, *others) as state:
            yield state

    monkeypatch.setattr(alice._owner, "write", write)
    with pytest.raises(Conflict, match="version 1 is ACTIVE"):
        alice.keys.destroy("k", 1)
    assert [version.status for version in alice.keys.versions("k")] == [KeyStatus.ACTIVE, KeyStatus.DEPRECATED]
    assert alice.keys.sign("k", b"message").version == 1


def test_fr_012_a_source_that_has_its_key_back_since_is_not_disabled(
    alice: Keyclave, bob: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.keys.create("k", "ED25519", backend="software")
    plan = alice.migration.plan(["k"], "other")
    bob.migration.approve(plan.plan_id, "wanted")

    def roll_it_back() -> None:
        assert [intent.kind for intent in bob.recovery.run()] == ["migrate"]
        (record,) = bob.migration.list()
        bob.migration.rollback(record.migration_id, "test")

    with stopped(alice, roll_it_back, monkeypatch, after=3):
        (record,) = alice.migration.run(plan.plan_id)
    assert record.status is MigrationStatus.ROLLED_BACK
    assert alice.keys.sign("k", b"message").backend_id == "software"
