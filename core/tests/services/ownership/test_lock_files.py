"""A lock file shows on this machine that an instance lives, and that it has died."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

import pytest
from filelock import FileLock
from keyclave.services.ownership.lock_files import LockFiles


def test_an_instance_lives_until_it_lets_go(tmp_path: Path) -> None:
    here, other = LockFiles(tmp_path), LockFiles(tmp_path)
    assert here.lives(other.name)
    assert here.lives(here.name)
    other.close()
    assert here.lives(other.name) is False
    here.close()


@pytest.mark.parametrize("name", ["0123456789abcdef" * 2, "", "../../etc/passwd", "A" * 32])
def test_of_an_instance_without_a_file_here_nothing_is_known(tmp_path: Path, name: str) -> None:
    """It may live on another machine; what is no name of an instance is never made a path."""
    here = LockFiles(tmp_path)
    assert here.lives(name) is None
    assert len(list(tmp_path.iterdir())) == 1
    here.close()


def test_only_the_locks_of_the_dead_are_removed_and_only_when_nobody_wants_them(tmp_path: Path) -> None:
    here, alive, dead, wanted = (LockFiles(tmp_path) for _ in range(4))
    dead.close()
    wanted.close()
    here.forget(frozenset({wanted.name}))
    assert {path.stem for path in tmp_path.glob("*.lock")} == {here.name, alive.name, wanted.name}
    alive.close()
    here.close()


def test_a_new_instance_waits_for_who_takes_its_lock_for_that_of_a_dead_one(
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
    here = LockFiles(tmp_path)
    thread.join()
    assert removed.is_set()
    assert path.exists()
    monkeypatch.undo()
    other = LockFiles(tmp_path)
    assert other.lives(here.name)
    other.close()
    here.close()
