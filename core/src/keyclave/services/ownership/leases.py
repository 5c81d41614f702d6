"""The leases that this instance holds: taken and given up in the database, and renewed by a thread meanwhile.

The database's clock alone says whether a lease is over. Since its answer may be late, this instance itself stops to
rely on a lease two thirds of its time after it was taken or renewed, by the clock that no one can set.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

from keyclave.errors import Conflict, KeyclaveError
from keyclave.state.records import StoredLease
from keyclave.state.store import Store, Transaction

__all__ = ["LeaseLost", "Leases"]

_DURATION = timedelta(seconds=30)
_log = logging.getLogger("keyclave.leases")


class LeaseLost(Conflict):
    """This process did not answer for so long that others may have taken over what it was doing. It stops."""

    default_next_step = "Look at the key with `keyclave keys show NAME`, then repeat the call if it is still wanted."

    def __init__(self) -> None:
        super().__init__("this process was silent for longer than its lease, and what it began is left to others")


class _Held:
    """A lease, and until when this instance relies on it."""

    __slots__ = ("lease", "until")

    def __init__(self, lease: StoredLease, since: float) -> None:
        self.lease = lease
        self.rely_since(since)

    def rely_since(self, moment: float) -> None:
        """Note when the lease was asked for that the database then gave."""
        self.until = moment + _DURATION.total_seconds() * 2 / 3


class Leases:
    """Takes, renews and gives up leases.

    Args:
        store: where they are.
        holder: the name of this instance.
    """

    def __init__(self, store: Store, holder: str) -> None:
        self._store = store
        self._holder = holder
        self._held: dict[str, _Held] = {}
        self._starting = threading.Lock()
        self._ending = threading.Event()
        self._renewer: threading.Thread | None = None

    def holds(self, resource: str) -> bool:
        """Return whether this instance took the lease, and has not dropped it."""
        return resource in self._held

    def is_reliable(self, resource: str) -> bool:
        """Return whether this instance holds the lease, and was not silent for too long."""
        held = self._held.get(resource)
        return held is not None and time.monotonic() <= held.until

    def take_in(self, state: Transaction, before: StoredLease | None, resource: str) -> None:
        """Take a lease; see `keyclave.state.leases.Leases.take`."""
        since = time.monotonic()
        self._held[resource] = _Held(state.leases.take(before, resource, self._holder, _DURATION), since)
        with self._starting:
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._renew_all, name="keyclave-leases", daemon=True)
                self._renewer.start()

    def require(self, resource: str) -> None:
        """Refuse to go on where this instance cannot rely on a lease that it took.

        Raises:
            LeaseLost: it was not renewed in time.
        """
        if self.holds(resource) and not self.is_reliable(resource):
            raise LeaseLost

    def require_in(self, state: Transaction, resource: str) -> None:
        """Refuse a transaction that needs a lease which this instance does not hold any more.

        Raises:
            LeaseLost: it is over, or somebody else has it.
        """
        self.require(resource)
        held = self._held.get(resource)
        if held is None or not state.leases.holds(held.lease):
            raise LeaseLost

    def give_up_in(self, state: Transaction, resource: str) -> None:
        """Let others take a lease at once, if this transaction becomes durable."""
        state.leases.extend(self._held[resource].lease, timedelta(0))

    def drop(self, resource: str) -> None:
        """Do not renew a lease any more."""
        self._held.pop(resource, None)

    def close(self) -> None:
        """Renew nothing any more."""
        self._ending.set()
        if self._renewer is not None:
            self._renewer.join()

    def _renew_all(self) -> None:
        seconds = _DURATION.total_seconds()
        wait = seconds / 3
        while not self._ending.wait(wait):
            wait = seconds / 3
            for held in tuple(self._held.values()):
                try:
                    self._renew(held)
                except KeyclaveError as error:
                    _log.warning("a lease is not renewed: %s", error)
                    wait = seconds / 30

    def _renew(self, held: _Held) -> None:
        since = time.monotonic()
        with self._store.lease() as state:
            if not state.leases.holds(held.lease):
                return
            state.leases.extend(held.lease, _DURATION)
        held.rely_since(since)
