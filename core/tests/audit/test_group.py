from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from keyclave.audit.group import GroupCommit, Waiter
from keyclave.errors import AuditUnavailable


class Disk:
    """Stands for a commit: notes its batches, and holds each until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[Waiter]] = []
        self.go_on = True
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()

    def commit(self, batch: list[Waiter]) -> bool:
        self.batches.append(list(batch))
        self.busy.set()
        assert self.gate.wait(30)
        return self.go_on


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def held(disk: Disk, group: GroupCommit[Waiter], pool: ThreadPoolExecutor, waiting: int) -> list[object]:
    """Bring the group into the state where one caller commits and ``waiting`` others wait behind it."""
    disk.gate.clear()
    futures = [pool.submit(group.submit, Waiter())]
    assert disk.busy.wait(30)
    futures += [pool.submit(group.submit, Waiter()) for _ in range(waiting)]
    until(lambda: len(group._queue) == waiting)
    return list(futures)


def test_those_who_wait_share_one_commit_in_the_order_they_came() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    with ThreadPoolExecutor(10) as pool:
        held(disk, group, pool, 9)
        waiting = list(group._queue)
        disk.gate.set()
    assert [len(batch) for batch in disk.batches] == [1, 9]
    assert disk.batches[1] == waiting
    assert group._leader is None


class SlowToWake(Waiter):
    """A caller that is woken, and comes to itself only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        lock, come_to = self.wake, threading.Event()
        self.come_to = come_to

        class Wake:
            release = lock.release

            def acquire(self) -> None:
                lock.acquire()
                assert come_to.wait(30)

        self.wake = Wake()  # type: ignore[assignment]  # what a waiter uses of a lock


def test_who_comes_back_first_does_not_commit_alone_what_the_others_are_about_to_bring() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    slow = SlowToWake()
    with ThreadPoolExecutor(10) as pool:
        held(disk, group, pool, 3)
        pool.submit(group.submit, slow)
        until(lambda: slow in group._queue)
        disk.gate.set()
        until(lambda: slow.woken)
        back = [pool.submit(group.submit, Waiter()) for _ in range(3)]
        until(lambda: len(group._queue) == 3)
        assert [len(batch) for batch in disk.batches] == [1, 4]
        slow.come_to.set()
        for future in back:
            future.result(30)
    assert [len(batch) for batch in disk.batches] == [1, 4, 3]
    assert group._leader is None


def test_a_batch_has_its_limit() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, batch_size=4)
    with ThreadPoolExecutor(12) as pool:
        held(disk, group, pool, 10)
        disk.gate.set()
    assert [len(batch) for batch in disk.batches] == [1, 4, 4, 2]


def test_every_caller_is_served_exactly_once_under_load() -> None:
    seen: list[Waiter] = []

    def commit(batch: list[Waiter]) -> bool:
        seen.extend(batch)
        return True

    group = GroupCommit(commit, batch_size=7)

    def work(_: int) -> int:
        waiters = [Waiter() for _ in range(200)]
        for waiter in waiters:
            group.submit(waiter)
        return sum(waiter.done for waiter in waiters)

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 3200
    assert len(seen) == len(set(map(id, seen))) == 3200


def test_a_full_queue_refuses_at_once_and_takes_the_others() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, queue_limit=3)
    with ThreadPoolExecutor(4) as pool:
        held(disk, group, pool, 3)
        with pytest.raises(AuditUnavailable, match="3 operations wait"):
            group.submit(Waiter())
        disk.gate.set()
    assert sum(map(len, disk.batches)) == 4


def test_when_trying_is_pointless_those_who_wait_return_too() -> None:
    disk = Disk()
    disk.go_on = False
    group = GroupCommit(disk.commit)
    with ThreadPoolExecutor(6) as pool:
        held(disk, group, pool, 5)
        disk.gate.set()
    assert [len(batch) for batch in disk.batches] == [1]
    group.submit(Waiter())
    assert len(disk.batches) == 2


def test_a_commit_that_raises_releases_everybody() -> None:
    def commit(batch: list[Waiter]) -> bool:
        if len(calls) < 2:
            calls.append(len(batch))
            raise RuntimeError("broken")
        return True

    calls: list[int] = []
    group = GroupCommit(commit)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            group.submit(Waiter())
    group.submit(Waiter())


def test_closing_waits_for_those_who_wait_and_refuses_the_rest() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    with ThreadPoolExecutor(5) as pool:
        held(disk, group, pool, 3)
        closing = pool.submit(group.close)
        until(lambda: group._closed)
        with pytest.raises(AuditUnavailable, match="closed"):
            group.submit(Waiter())
        assert not closing.done()
        disk.gate.set()
        closing.result(30)
    assert sum(map(len, disk.batches)) == 4
    group.close()


needs_signals = pytest.mark.skipif(
    os.name != "posix", reason="pthread_kill interrupts a waiting thread on POSIX only"
)


def interrupt_when(condition: Callable[[], bool], then: Callable[[], object]) -> threading.Thread:
    """Press Ctrl-C for the main thread once ``condition`` holds, and then call ``then``."""

    def press() -> None:
        until(condition)
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.05)
        then()

    thread = threading.Thread(target=press)
    thread.start()
    return thread


@needs_signals
def test_an_interrupted_caller_that_waits_leaves_the_queue() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    mine = Waiter()
    with ThreadPoolExecutor(4) as pool:
        held(disk, group, pool, 2)
        press = interrupt_when(lambda: mine in group._queue, lambda: None)
        with pytest.raises(KeyboardInterrupt):
            group.submit(mine)
        press.join()
        assert mine not in group._queue
        disk.gate.set()
    assert [len(batch) for batch in disk.batches] == [1, 2]


@needs_signals
def test_an_interrupted_leader_releases_its_batch_and_the_next_one_leads() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    mine = Waiter()
    disk.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        pool.submit(lambda: disk.busy.wait(30) and [pool.submit(group.submit, Waiter()) for _ in range(3)])
        press = interrupt_when(lambda: len(group._queue) == 3, disk.gate.set)
        with pytest.raises(KeyboardInterrupt):
            group.submit(mine)
        press.join()
    assert mine.done
    assert [len(batch) for batch in disk.batches] == [1, 3]
    assert group._leader is None


# The two moments at which an entry can no longer be taken back are made by hand: a signal cannot hit them at will.


def test_a_caller_interrupted_while_its_entry_is_committed_still_wakes_the_next_one() -> None:
    group = GroupCommit(Disk().commit)
    mine, next_one = Waiter(), Waiter()
    mine.queued = mine.done = True
    mine.follower = next_one
    threading.Timer(0.05, mine.wake.release).start()
    group._leave(mine)
    assert next_one.wake.acquire(timeout=30)


def test_a_caller_interrupted_when_it_was_appointed_still_leads() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit)
    mine, next_one = Waiter(), Waiter()
    group._enter(mine)
    group._enter(next_one)
    group._leave(mine)
    assert next_one.wake.acquire(timeout=30)
    assert disk.batches == [[mine, next_one]]
