"""Who works on a change: the instance that holds its lease, as long as that holds, and as long as it lives.

A lease shows to every machine whether the owner still works, and fences one that was stopped and goes on too late:
each transaction of a change looks at the lease. On the machine of the owner a lock file shows at once that it died.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname

from keyclave.errors import Conflict, KeyclaveError, OutcomeUnknown, StateUnavailable
from keyclave.services.ownership.leases import Leases
from keyclave.services.ownership.lock_files import LockFiles
from keyclave.state.records import StoredIntent, StoredLease
from keyclave.state.store import Store, Transaction

__all__ = ["OWNER", "WINDOW", "CommitUnknown", "Owner", "found_open"]

OWNER = "owner"
"""The parameter of an intent that names who began it."""
_PROCESS = "process"
"""The parameter that says to people which process that is."""
WINDOW = "window"
"""The step of a rotation whose versions both sign: it waits for its end, and nobody works on it."""

_ABANDONED_AFTER = timedelta(minutes=10)
"""Longer than any deadline: without a lease and a lock file here, an owner is gone that is silent for so long."""
_LOOK_UP_SECONDS = 10.0
_PAUSE_SECONDS = 0.2


class CommitUnknown(OutcomeUnknown):
    """The answer to a commit was lost, and could not be looked up: the change and its record are there, or not."""


class Owner:
    """This instance as an owner of changes, and its view of other owners.

    Args:
        store: the state.
        directory: where the lock files of this machine are.

    Attributes:
        name: of this instance.
    """

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._locks = LockFiles(directory)
        self.name = self._locks.name
        self._process = f"{gethostname()}:{os.getpid()}"
        self._leases = Leases(store, self.name)
        self._working: set[uuid.UUID] = set()

    def parameters(self) -> dict[str, str]:
        """Return the parameters of an intent that say that this instance works on it."""
        return {OWNER: self.name, _PROCESS: self._process}

    @contextmanager
    def working(self, operation_id: uuid.UUID) -> Iterator[None]:
        """Say that this process works on the operation while the body runs."""
        self._working.add(operation_id)
        try:
            yield
        finally:
            self._working.discard(operation_id)
            self._leases.drop(operation_id.hex)

    def require(self, operation_id: uuid.UUID) -> None:
        """Refuse to begin with what a backend does if others may have taken the operation over.

        Raises:
            LeaseLost: they may have.
        """
        self._leases.require(operation_id.hex)

    def has_lost(self, operation_id: uuid.UUID) -> bool:
        """Return whether this instance took the lease of an operation, and was silent for too long since."""
        return self._leases.holds(operation_id.hex) and not self._leases.is_reliable(operation_id.hex)

    @contextmanager
    def write(self, operation_id: uuid.UUID, *others: uuid.UUID) -> Iterator[Transaction]:
        """Run one transaction of an operation that has an intent, or gets it in this one, under its lease.

        The first takes the lease, and the one that ends the work on the intent gives it up. A commit whose answer was
        lost is looked up. What goes for the operation goes for the others that are done together with it.

        Raises:
            LeaseLost: others may have taken the operation over. Nothing was written.
            CommitUnknown: the answer to the commit was lost, and it cannot be looked up now.
            KeyclaveError: see `keyclave.state.store.Store.write`.
        """
        before = after = None
        try:
            with self._store.write() as state:
                before = state.intents.get(operation_id)
                for each in (operation_id, *others):
                    self._hold_in(state, each.hex)
                yield state
                after = state.intents.get(operation_id)
                for each in (operation_id, *others):
                    found = state.intents.get(each)
                    if found is None or found.outcome is not None or found.step == WINDOW:
                        self._leases.give_up_in(state, each.hex)
        except StateUnavailable as error:
            if after is None or not self._is_durable(before, after, error):
                raise

    def _hold_in(self, state: Transaction, resource: str) -> None:
        """Take a lease, or see that it still holds."""
        if self._leases.holds(resource):
            self._leases.require_in(state, resource)
            return
        lease = state.leases.lock(resource)
        if not self._is_vacant(state, lease):
            raise Conflict("another process works on this change")
        self._leases.take_in(state, lease, resource)

    def _is_durable(self, before: StoredIntent | None, after: StoredIntent, error: StateUnavailable) -> bool:
        """Return whether a transaction is durable that found an intent like this, and left it like that.

        Nobody else changes it within the lease; where it is something else, the search took longer.
        """
        deadline = time.monotonic() + _LOOK_UP_SECONDS
        while True:
            try:
                self._store.reopen()
                with self._store.read() as state:
                    found = state.intents.get(after.operation_id)
            except (Conflict, StateUnavailable):
                if time.monotonic() > deadline:
                    break
            else:
                if found in (before, after):
                    return found != before
                break
            time.sleep(_PAUSE_SECONDS)
        raise CommitUnknown(f"it is not known whether the change is recorded: {error.message}")

    def take_over(self, intent: StoredIntent) -> StoredIntent | None:
        """Take the lease of an intent that nobody works on, and return the intent as it is now.

        Returns:
            ``None`` where somebody works on it, or it is closed, or in its validation period since it was read.
        """
        with self._store.lease() as state:
            lease = state.leases.lock(intent.operation_id.hex)
            found = found_open(state, intent)
            if found is not None and self._is_free(state, found, lease):
                self._leases.take_in(state, lease, intent.operation_id.hex)
                return found
        return None

    def is_abandoned(self, intent: StoredIntent) -> bool:
        """Return whether nobody works on the intent any more."""
        if intent.operation_id in self._working:
            return False
        with self._store.read() as state:
            return self._is_free(state, intent, state.leases.get(intent.operation_id.hex))

    def process_at(self, intent: StoredIntent) -> str | None:
        """Return the process of the owner that began an intent; ``None`` if another one has its lease."""
        with self._store.read() as state:
            lease = state.leases.get(intent.operation_id.hex)
        is_owner = lease is None or lease.holder == intent.parameters.get(OWNER)
        return intent.parameters.get(_PROCESS) if is_owner else None

    def is_dead(self, intent: StoredIntent) -> bool:
        """Return whether the process that began an intent is known to have ended, and can do nothing any more."""
        return self._locks.lives(intent.parameters.get(OWNER, "")) is False

    @contextmanager
    def alone(self, resource: str) -> Iterator[Callable[[], bool]]:
        """Try to take the lease of a resource, without waiting, and keep it while the body runs.

        Yields:
            A function that says whether the lease was taken and still holds. Without it the body must do nothing.
        """
        taken = self._take_idle(resource)
        try:
            yield lambda: taken and self._leases.is_reliable(resource)
        finally:
            if taken:
                self._give_up(resource)

    def _take_idle(self, resource: str) -> bool:
        taken = False
        try:
            with self._store.lease() as state:
                lease = state.leases.lock_idle(resource)
                if self._leases.holds(resource) or not self._is_vacant(state, lease):
                    return False
                self._leases.take_in(state, lease, resource)
                taken = True
        except KeyclaveError as error:
            if taken:
                self._leases.drop(resource)  # it may be there all the same, and then ends by itself
            if isinstance(error, Conflict):
                return False  # somebody else was faster
            raise
        return True

    def _give_up(self, resource: str) -> None:
        with suppress(KeyclaveError), self._store.lease() as state:  # it ends by itself
            self._leases.require_in(state, resource)
            self._leases.give_up_in(state, resource)
        self._leases.drop(resource)

    def _is_free(self, state: Transaction, intent: StoredIntent, lease: StoredLease | None) -> bool:
        name = intent.parameters.get(OWNER, "")
        if lease is not None or name == self.name:
            return self._is_vacant(state, lease)
        lives = self._locks.lives(name)
        return datetime.now(UTC) - intent.updated_at > _ABANDONED_AFTER if lives is None else not lives

    def _is_vacant(self, state: Transaction, lease: StoredLease | None) -> bool:
        return (
            lease is None
            or lease.holder == self.name
            or self._locks.lives(lease.holder) is False
            or state.leases.is_over(lease)
        )

    def forget(self) -> None:
        """Remove the lock files of dead owners, but for those whose files show that an open intent is free."""
        with self._store.read() as state:
            intents = state.intents.open()
            leases = [state.leases.get(intent.operation_id.hex) for intent in intents]
        wanted = {intent.parameters.get(OWNER, "") for intent in intents}
        self._locks.forget(frozenset(wanted | {lease.holder for lease in leases if lease is not None}))

    def close(self) -> None:
        """Let go: intents that are still open are from now on anybody's to recover."""
        self._leases.close()
        self._locks.close()


def found_open(state: Transaction, intent: StoredIntent) -> StoredIntent | None:
    """Return an intent as it is now, if it still waits for what is to be done: its validation period may have begun.

    How far it is now decides whether it is undone: whoever was at work on it may have gone on since it was read.
    """
    found = state.intents.get(intent.operation_id)
    if found is None or found.outcome is not None or (found.step == WINDOW) is not (intent.step == WINDOW):
        return None
    return found
