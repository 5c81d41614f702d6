"""Who works on a change: whoever holds its lease. A process that was silent for too long is fenced, and stops."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.errors import Conflict, OutcomeUnknown
from keyclave.models import KeyStatus
from keyclave.services import resolution
from keyclave.services.ownership import leases
from keyclave.services.ownership.leases import LeaseLost
from keyclave.services.ownership.owners import OWNER
from keyclave.state.records import StoredIntent

from core.tests.databases import Place
from core.tests.fleet import be_late, fall_silent, node
from core.tests.services.failing import failing, replaced


@pytest.fixture
def fleet(place: Place, tmp_path: Path) -> Iterator[list[Keyclave]]:
    """Two machines. Neither sees the lock files of the other."""
    with ExitStack() as opened:
        yield [opened.enter_context(node(place, tmp_path / name)) for name in ("here", "there")]


def keys_in(keystore: Path) -> int:
    return sum(len(path.stem) == 32 for path in keystore.glob("*.key"))


def statuses(clave: Keyclave, name: str = "k") -> list[KeyStatus]:
    return [version.status for version in clave.keys.versions(name)]


def test_who_renews_its_lease_is_left_alone_however_long_it_takes(
    fleet: list[Keyclave], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_DURATION", timedelta(seconds=4.5))
    here, there = fleet
    here.keys.create("k", "ED25519")

    def take_long(real: Callable[..., Any], request: Any) -> Any:
        for _ in range(6):
            time.sleep(1)
            assert there.recovery.run() == ()
        return real(request)

    with replaced(here, "create_key", take_long):
        assert here.rotation.rotate("k").version == 2
    assert statuses(there) == [KeyStatus.DEPRECATED, KeyStatus.ACTIVE]


def test_the_process_at_work_is_named_to_others(fleet: list[Keyclave]) -> None:
    here, there = fleet

    def look(real: Callable[..., Any], request: Any) -> Any:
        (intent,) = there.recovery.open_intents()
        assert there.recovery.key_name(intent) == "k"
        assert there.recovery.process_at(intent) == f"{gethostname()}:{os.getpid()}"
        fall_silent(here)
        assert there.recovery.process_at(intent) is None
        return real(request)

    with replaced(here, "create_key", look), pytest.raises(LeaseLost):
        here.keys.create("k", "ED25519")


def test_a_process_that_took_a_change_over_is_not_taken_for_the_one_that_began_it(fleet: list[Keyclave]) -> None:
    here, there = fleet

    def look(real: Callable[..., Any], request: Any) -> Any:
        (intent,) = there.recovery.open_intents()
        fall_silent(here)
        with there._owner.working(intent.operation_id):
            assert there._owner.take_over(intent) == intent
            assert (here.recovery.is_abandoned(intent), here.recovery.process_at(intent)) == (False, None)
        return real(request)

    with replaced(here, "create_key", look), pytest.raises(LeaseLost):
        here.keys.create("k", "ED25519")


def test_who_was_silent_is_fenced_and_removes_what_it_made_too_late(
    fleet: list[Keyclave], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others looked for the key before it was there, and closed the change as undone."""
    here, there = fleet
    monkeypatch.setattr(resolution, "_SETTLED_AFTER", timedelta(0))
    here.keys.create("k", "ED25519")
    signature = here.keys.sign("k", b"message").signature

    def be_too_late(real: Callable[..., Any], request: Any) -> Any:
        fall_silent(here)
        assert [intent.kind for intent in there.recovery.run()] == ["rotate"]
        return real(request)

    with replaced(here, "create_key", be_too_late), pytest.raises(Conflict, match="silent for longer") as caught:
        here.rotation.rotate("k")
    assert isinstance(caught.value, LeaseLost)
    assert (caught.value.key_name, caught.value.retryable) == ("k", True)
    assert "keys show" in caught.value.next_step
    assert here.recovery.open_intents() == ()
    assert statuses(here) == [KeyStatus.ACTIVE]
    assert keys_in(tmp_path / "keystore") == 1
    assert there.keys.verify("k", b"message", signature) == 1
    assert there.rotation.rotate("k").version == 2
    assert there.audit.verify().ok


def test_who_was_silent_after_the_new_version_was_there_finds_it_undone(
    fleet: list[Keyclave], tmp_path: Path
) -> None:
    here, there = fleet
    here.keys.create("k", "ED25519")

    def be_too_late(real: Callable[..., Any], request: Any) -> Any:
        made = real(request)
        fall_silent(here)
        assert [intent.kind for intent in there.recovery.run()] == ["rotate"]
        return made

    with replaced(here, "create_key", be_too_late), pytest.raises(LeaseLost):
        here.rotation.rotate("k")
    assert statuses(here) == [KeyStatus.ACTIVE]
    assert keys_in(tmp_path / "keystore") == 1


def test_a_lease_that_is_over_is_lost_even_if_nobody_took_it(fleet: list[Keyclave], tmp_path: Path) -> None:
    """The change is then undone by the one who began it, under a new lease."""
    here, _ = fleet
    here.keys.create("k", "ED25519")

    def be_too_late(real: Callable[..., Any], request: Any) -> Any:
        made = real(request)
        fall_silent(here)
        return made

    with replaced(here, "create_key", be_too_late), pytest.raises(LeaseLost):
        here.rotation.rotate("k")
    assert here.recovery.open_intents() == ()
    assert keys_in(tmp_path / "keystore") == 1
    assert here.rotation.rotate("k").version == 2


def test_work_stops_before_the_lease_is_over(fleet: list[Keyclave]) -> None:
    """After two thirds of it, by the clock of the process: the database would still say that it holds."""
    here, _ = fleet
    here.keys.create("k", "ED25519")

    def take_long(real: Callable[..., Any], request: Any) -> Any:
        made = real(request)
        be_late(here)
        (intent,) = here.recovery.open_intents()
        with here._store.read() as state:
            lease = state.leases.get(intent.operation_id.hex)
            assert lease is not None
            assert not state.leases.is_over(lease)
        return made

    with replaced(here, "create_key", take_long), pytest.raises(LeaseLost):
        here.rotation.rotate("k")


def test_a_change_that_is_taken_over_has_a_higher_fencing_number(fleet: list[Keyclave]) -> None:
    here, there = fleet
    with failing(here, "create_key", OutcomeUnknown("no answer"), afterwards=True), pytest.raises(OutcomeUnknown):
        here.keys.create("k", "ED25519")
    (intent,) = here.recovery.open_intents()
    assert there.recovery.run() == ()
    fall_silent(here)
    assert there.recovery.run() == (intent,)
    with there._store.read() as state:
        lease = state.leases.get(intent.operation_id.hex)
    assert lease is not None
    assert (lease.holder, lease.fencing) == (there._owner.name, 2)


def test_a_process_that_died_here_is_taken_over_from_at_once(place: Place, tmp_path: Path) -> None:
    with node(place, tmp_path / "here") as one, node(place, tmp_path / "here") as other:
        with failing(one, "create_key", OutcomeUnknown("no answer"), afterwards=True), pytest.raises(OutcomeUnknown):
            one.keys.create("k", "ED25519")
        assert other.recovery.run() == ()
        one._owner._locks.close()
        assert [intent.kind for intent in other.recovery.run()] == ["create"]


def test_this_instance_has_abandoned_what_it_is_not_working_on(clave: Keyclave) -> None:
    owner, begun = clave._owner, an_intent(clave._owner.name)
    with owner.working(begun.operation_id):
        assert not owner.is_abandoned(begun)
    assert owner.is_abandoned(begun)


@pytest.mark.parametrize("name", ["0123456789abcdef" * 2, "", "../../etc/passwd", "A" * 32])
def test_an_owner_without_lease_and_lock_file_has_ten_minutes(clave: Keyclave, name: str) -> None:
    """An earlier Keyclave on another machine took no leases."""
    assert not clave._owner.is_abandoned(an_intent(name, silent=timedelta(minutes=9)))
    assert clave._owner.is_abandoned(an_intent(name, silent=timedelta(minutes=11)))


def test_one_of_many_is_alone_and_the_next_one_when_it_ends(fleet: list[Keyclave]) -> None:
    here, there = (clave._owner for clave in fleet)
    with here.alone("work") as first, there.alone("work") as second, here.alone("work") as third:
        assert (first(), second(), third()) == (True, False, False)
    with there.alone("work") as second, here.alone("other work") as other:
        assert (second(), other()) == (True, True)


def test_who_is_silent_is_not_alone_any_more(fleet: list[Keyclave]) -> None:
    here, there = (clave._owner for clave in fleet)
    with here.alone("work") as first:
        fall_silent(fleet[0], "work")
        be_late(fleet[0])
        assert not first()
        with there.alone("work") as second:
            assert second()
    with here.alone("work") as first:
        assert first()


def test_of_many_threads_on_two_machines_one_is_alone_at_a_time(fleet: list[Keyclave]) -> None:
    inside: list[int] = []
    most = 0
    turns = 0
    counting = threading.Lock()

    def take_turns(clave: Keyclave) -> None:
        nonlocal most, turns
        for _ in range(20):
            with clave._owner.alone("work") as is_ours:
                if is_ours():
                    with counting:
                        inside.append(1)
                        most, turns = max(most, len(inside)), turns + 1
                    time.sleep(0.002)
                    inside.pop()

    threads = [threading.Thread(target=take_turns, args=(clave,)) for clave in fleet * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert turns > 1


def an_intent(owner: str, *, silent: timedelta = timedelta(0)) -> StoredIntent:
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
