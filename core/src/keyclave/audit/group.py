"""Leader/follower group commit: whoever finds nobody committing commits for all who wait.

The price of one durable commit is shared by the callers that wait at that moment, and a lone caller pays no
hand-over to a writer thread. After a commit each caller wakes the next one as it leaves: woken all at once,
they would only queue up again for the interpreter's lock. The last one appoints the next leader: appointed any
earlier, whoever came back first would commit alone what the others are just about to bring.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Generic, TypeVar

from keyclave.errors import AuditUnavailable

__all__ = ["BATCH_SIZE", "QUEUE_LIMIT", "GroupCommit", "Waiter"]

BATCH_SIZE = 256
"""The most entries in one transaction."""

QUEUE_LIMIT = 4096
"""The most entries that wait; the next one is refused at once."""


class Waiter:
    """One caller that waits for its entry.

    Attributes:
        queued: the entry was taken.
        done: a commit that had it was tried.
        woken: ``wake`` was, or is just being, released.
        wake: held until the caller is done or leads.
        follower: the caller to wake next.
    """

    __slots__ = ("done", "follower", "queued", "wake", "woken")

    def __init__(self) -> None:
        self.queued = self.done = self.woken = False
        self.wake = threading.Lock()
        self.wake.acquire()
        self.follower: Waiter | None = None


W = TypeVar("W", bound=Waiter)


class GroupCommit(Generic[W]):
    """Passes the entries of concurrent callers to ``commit``, in order, in batches, from one thread at a time.

    Args:
        commit: writes a batch and notes in each entry what became of it. Returns ``False`` if it is pointless
            to try the entries that wait behind it; they then return as they are.
        batch_size: the most entries in one batch.
        queue_limit: the most entries that wait.
    """

    def __init__(
        self, commit: Callable[[list[W]], bool], *, batch_size: int = BATCH_SIZE, queue_limit: int = QUEUE_LIMIT
    ) -> None:
        self._commit = commit
        self._batch_size = batch_size
        self._queue_limit = queue_limit
        self._mutex = threading.Lock()
        self._queue: deque[W] = deque()
        self._leader: W | None = None  # the first in the queue, or committing, or the last of a batch until it leaves
        self._closed = False
        self._drained = threading.Event()

    def submit(self, waiter: W) -> None:
        """Return when ``commit`` has had the entry.

        Raises:
            AuditUnavailable: too many entries wait, or the log is closed. The entry was not taken.
        """
        try:
            if not self._enter(waiter):
                waiter.wake.acquire()
                self._pass_on(waiter)
            if not waiter.done:
                self._lead(waiter)
        except BaseException:
            self._leave(waiter)
            raise

    def close(self) -> None:
        """Take no more entries, and return when those that wait have been committed."""
        with self._mutex:
            self._closed = True
            if self._leader is None:
                self._drained.set()
        self._drained.wait()

    def _enter(self, waiter: W) -> bool:
        """Queue the entry, and return whether its caller leads."""
        with self._mutex:
            if self._closed:
                raise AuditUnavailable(
                    "Keyclave is closed", next_step="Open it again with `keyclave.open`.", retryable=False
                )
            if len(self._queue) >= self._queue_limit:
                raise AuditUnavailable(f"{self._queue_limit} operations wait for their audit record already")
            self._queue.append(waiter)
            waiter.queued = True
            if self._leader is None:
                self._leader = waiter
            return self._leader is waiter

    def _lead(self, leader: W) -> None:
        """Commit one batch, the leader's own entry first in it, and hand the lead on."""
        batch: list[W] = []
        go_on = True
        try:
            with self._mutex:
                size = min(self._batch_size, len(self._queue))
                batch.extend(self._queue.popleft() for _ in range(size))
            go_on = self._commit(batch)
        finally:
            self._hand_on(leader, batch, go_on=go_on)

    def _hand_on(self, leader: W, batch: list[W], *, go_on: bool) -> None:
        """Let the batch leave, one woken by another."""
        with self._mutex:
            if not go_on:
                batch += self._queue
                self._queue.clear()
            for waiter in batch:
                waiter.done = True
            for waiter, follower in pairwise(batch):
                waiter.follower = follower
            self._leader = batch[-1] if batch else leader
        leader.woken = True
        self._pass_on(leader)

    def _pass_on(self, waiter: W) -> None:
        """Wake the caller behind this one, or the next leader behind the last one. A second call does nothing."""
        if waiter.done and self._leader is waiter:
            with self._mutex:
                waiter.follower = self._leader = self._queue[0] if self._queue else None
                if self._leader is None and self._closed:
                    self._drained.set()
        follower, waiter.follower = waiter.follower, None
        if follower is not None:
            follower.woken = True
            follower.wake.release()

    def _leave(self, waiter: W) -> None:
        """Do what an interrupted caller owes the others: let go of its place, or lead, or wake the next one."""
        with self._mutex:
            leads = self._leader is waiter and not waiter.done
            if not leads and waiter in self._queue:
                self._queue.remove(waiter)
                return
        if leads:
            self._lead(waiter)
        elif waiter.queued:
            if not waiter.woken:
                waiter.wake.acquire()
            self._pass_on(waiter)
