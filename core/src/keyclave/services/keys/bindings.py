"""What a call may remember of a key: bindings that end as soon as any key changes.

Every change of a key raises the epoch in the state, and so does a backend whose level does not count any more. A
binding made under another epoch is made anew. A change by this process is seen at once, what else raises the epoch
within a second; where operations are audited, the log compares the epoch once more in the transaction that makes the
operation count.
"""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic
from typing import Generic, TypeVar

from keyclave.audit.log import StaleKey
from keyclave.backends.manager import BackendManager
from keyclave.errors import IntegrityError
from keyclave.services.backends.lost_levels import LostLevels
from keyclave.state.store import Store

__all__ = ["Bindings", "EpochWatch", "Wanted"]

_SECONDS = 1.0
_LIMIT = 10_000
W = TypeVar("W", bound=Hashable)
T = TypeVar("T")

Wanted = tuple[str, str | None, bool, int | None]
"""What a caller asks of signatures: key name, scheme or its default, whether the data is a digest, version or any."""


class EpochWatch:
    """The epoch of the state, as last seen.

    Attributes:
        epoch: the number.
        valid_until: the monotonic time until which it may be relied on.
    """

    __slots__ = ("_backends", "_lost", "_store", "_withdrawn", "epoch", "valid_until")

    def __init__(self, store: Store, backends: BackendManager, lost: LostLevels) -> None:
        self._store = store
        self._backends = backends
        self._lost = lost
        self._withdrawn = backends.withdrawn()
        self.epoch = -1
        self.valid_until = 0.0

    def refresh(self) -> None:
        """Read the epoch again, and raise it first if the level of a backend does not count any more.

        The audit log says so if the backend showed less than before.

        Raises:
            IntegrityError: it is lower than it was: the state was put back to an earlier copy of itself meanwhile.
        """
        seen_at, before = monotonic(), self.epoch
        withdrawn = self._backends.withdrawn()
        if withdrawn != self._withdrawn:
            with self._store.write() as state:
                state.raise_epoch()
                self._lost.record_in(state)
            self._withdrawn = withdrawn
        with self._store.read() as state:
            now = state.epoch
        if now < before:
            raise IntegrityError(
                f"the state was put back to an earlier copy of itself, from change {before} of its keys to {now}",
                next_step="If you restored a backup, open the state again, and repeat what was revoked since then.",
            )
        self.epoch = now
        self.valid_until = seen_at + _SECONDS

    def has_risen(self, epoch: int) -> bool:
        """Return whether any key was changed since this epoch. It reads the epoch again."""
        self.refresh()
        return self.epoch != epoch

    def refuse_stale(self, epoch: int) -> None:
        """Refuse what a backend said of a key that was bound at this epoch, if any key was changed since.

        A key that went elsewhere is disabled where it was, or gone from there: it must be bound anew, and then works.

        Raises:
            StaleKey: one was.
        """
        if self.has_risen(epoch):
            raise StaleKey("the key was changed while it was used; the result was dropped")

    def invalidate(self) -> None:
        """Do not rely on the epoch any more: this process changed something."""
        self.valid_until = 0.0


class Bindings(Generic[W, T]):
    """Values that hold for one epoch, by what was asked for."""

    __slots__ = ("_entries", "_watch")

    def __init__(self, watch: EpochWatch) -> None:
        self._watch = watch
        self._entries: dict[W, tuple[int, T]] = {}

    def get(self, wanted: W, now: float) -> T | None:
        """Return the value bound under this epoch, or ``None``. ``now`` is the monotonic time."""
        watch = self._watch
        if now >= watch.valid_until:
            watch.refresh()
        entry = self._entries.get(wanted)
        return entry[1] if entry is not None and entry[0] == watch.epoch else None

    def put(self, wanted: W, epoch: int, value: T) -> T:
        """Bind a value that was made from the state at ``epoch``."""
        if len(self._entries) >= _LIMIT:
            self._entries.clear()
        self._entries[wanted] = (epoch, value)
        return value
