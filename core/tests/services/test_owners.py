"""Who works on a change, seen by others: on this machine by a lock, on another one by how long it is silent."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from keyclave.services.owners import OWNER, Owner
from keyclave.state.records import StoredIntent


def intent(owner: str, *, silent: timedelta = timedelta(0)) -> StoredIntent:
    then = datetime.now(UTC) - silent
    return StoredIntent(
        operation_id=uuid.uuid4(),
        kind="create",
        step="begun",
        key_id=uuid.uuid4(),
        from_version=None,
        to_version=1,
        backend_id="software",
        label=None,
        parameters={OWNER: owner},
        principal="tester",
        created_at=then,
        updated_at=then,
        outcome=None,
    )


def test_an_owner_that_lives_is_left_alone_however_long_it_takes(tmp_path: Path) -> None:
    here, other = Owner(tmp_path), Owner(tmp_path)
    begun = intent(other.name, silent=timedelta(days=1))
    assert not here.is_abandoned(begun)
    other.close()
    assert here.is_abandoned(begun)
    here.close()


def test_this_instance_has_abandoned_what_it_is_not_working_on(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    begun = intent(owner.name)
    with owner.working(begun.operation_id):
        assert not owner.is_abandoned(begun)
    assert owner.is_abandoned(begun)
    owner.close()


@pytest.mark.parametrize("name", ["0123456789abcdef" * 2, "", "../../etc/passwd", "A" * 32])
def test_an_owner_that_cannot_be_seen_has_ten_minutes(tmp_path: Path, name: str) -> None:
    """It may live on another machine; what is no name of an owner is never made a path."""
    owner = Owner(tmp_path)
    assert not owner.is_abandoned(intent(name, silent=timedelta(minutes=9)))
    assert owner.is_abandoned(intent(name, silent=timedelta(minutes=11)))
    assert len(list(tmp_path.iterdir())) == 1
    owner.close()


def test_only_the_locks_of_the_dead_are_removed_and_only_when_nothing_names_them(tmp_path: Path) -> None:
    here, alive, dead, named = (Owner(tmp_path) for _ in range(4))
    dead.close()
    named.close()
    here.forget(frozenset({named.name}))
    assert {path.stem for path in tmp_path.glob("*.lock")} == {here.name, alive.name, named.name}
    alive.close()
    here.close()


def test_a_new_owner_waits_for_who_takes_its_lock_for_that_of_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process sees the new file before its owner has locked it, locks it, and removes it."""
    name = uuid.uuid4()
    monkeypatch.setattr(uuid, "uuid4", lambda: name)
    path = tmp_path / f"{name.hex}.lock"
    taken, removed = FileLock(path, thread_local=False), threading.Event()
    taken.acquire()

    def remove() -> None:
        time.sleep(0.3)
        path.unlink()
        removed.set()
        taken.release()

    thread = threading.Thread(target=remove)
    thread.start()
    owner = Owner(tmp_path)
    thread.join()
    assert removed.is_set()
    assert path.exists()
    monkeypatch.undo()
    other = Owner(tmp_path)
    assert not other.is_abandoned(intent(owner.name))
    other.close()
    owner.close()
