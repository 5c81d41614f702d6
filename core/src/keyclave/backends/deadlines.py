"""Run calls with a time limit, in a pool of daemon threads that are used again.

A thread that does not come back cannot be stopped, only left alone. So the pool is bounded, each backend has its own,
and daemon threads never keep the process from ending. A forked child has none of its parent's threads, and starts its
own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar
from weakref import WeakSet

__all__ = ["Job", "Overdue", "Workers"]

T = TypeVar("T")


class Overdue(Exception):  # never leaves this package
    """The call did not return in time.

    Attributes:
        started: whether it was begun, so that it may still have its effect; if not, it never will.
    """

    def __init__(self, *, started: bool) -> None:
        super().__init__("the call did not return in time")
        self.started = started


class Job(Generic[T]):
    """One call: its caller and a worker race for its start and for its end, and each race has one winner."""

    __slots__ = ("_discard", "_ended", "_finished", "_started", "_work", "error", "result")

    def __init__(self, work: Callable[[], T], discard: Callable[[T], object] | None) -> None:
        self._work: Callable[[], T] | None = work
        self._discard = discard
        self._started = threading.Lock()
        self._ended = threading.Lock()
        self._finished = threading.Event()
        self.error: BaseException | None = None
        self.result: T | None = None

    def work(self) -> None:
        """Run the call, in a worker; one that its caller has given up is not begun."""
        work, self._work = self._work, None
        if work is None or not self._started.acquire(blocking=False):
            return
        try:
            self.result = work()
        except KeyboardInterrupt as error:  # no signal ends up in a worker: the call itself raised it
            self.error = RuntimeError("KeyboardInterrupt").with_traceback(error.__traceback__)
        except BaseException as error:  # raised again in the caller's thread
            self.error = error
        if self._ended.acquire(blocking=False):
            self._finished.set()
        elif self._discard is not None and self.error is None:
            self._discard(self.result)  # type: ignore[arg-type]  # without an error there is a T

    def wait(self, seconds: float) -> T:
        """Return what the call returned or raise what it raised, or give it up.

        Raises:
            Overdue: it did not return in time.
        """
        if not self._finished.wait(seconds):
            if self._started.acquire(blocking=False):
                raise Overdue(started=False)
            if self._ended.acquire(blocking=False):
                raise Overdue(started=True)
            self._finished.wait()
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # without an error there is a T


class Workers:
    """A pool of at most ``limit`` daemon threads, started when they are needed."""

    def __init__(self, name: str, *, limit: int = 64) -> None:
        self._name = name
        self._limit = limit
        self.begin()
        _pools.add(self)

    def begin(self) -> None:
        """Begin without a thread and without a call."""
        self._jobs: SimpleQueue[Job[object] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._count = 0

    def start(self, work: Callable[[], T], *, discard: Callable[[T], object] | None = None) -> Job[T]:
        """Begin ``work`` as soon as a thread is free, without waiting for it; see `run`."""
        job = Job(work, discard)
        self._jobs.put(job)  # type: ignore[arg-type]  # the queue does not look at what a job returns
        if not self._idle.acquire(blocking=False):
            self._start()
        return job

    def run(self, work: Callable[[], T], seconds: float, *, discard: Callable[[T], object] | None = None) -> T:
        """Return what ``work`` returns, or raise what it raises.

        Args:
            work: the call.
            seconds: how long to wait for it, and for a free thread.
            discard: what to do, in the worker, with a result that comes too late.

        Raises:
            Overdue: it did not return in time.
        """
        return self.start(work, discard=discard).wait(seconds)

    def close(self) -> None:
        """Let every thread end once it is free."""
        with self._lock:
            for _ in range(self._count):
                self._jobs.put(None)

    def _start(self) -> None:
        with self._lock:
            if self._count == self._limit:
                return
            self._count += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._count}", daemon=True).start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.work()
            del job  # it may hold a plaintext
            self._idle.release()


_pools: WeakSet[Workers] = WeakSet()


def _begin_anew() -> None:
    for pool in _pools:
        pool.begin()  # the threads that it counts, and those that hold its locks, are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
