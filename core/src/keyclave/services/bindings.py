"""What a call may remember of a key: bindings that end as soon as any key changes.

Every change of a key raises the epoch in the state. A binding made under another epoch is made anew. A change by
this process is seen at once, one by another process within a second; where operations are audited, the log
compares the epoch once more in the transaction that makes the operation count.
"""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic
from typing import Generic, TypeVar

from keyclave.errors import IntegrityError
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

    __slots__ = ("_store", "epoch", "valid_until")

    def __init__(self, store: Store) -> None:
        self._store = store
        self.epoch = -1
        self.valid_until = 0.0

    def refresh(self) -> None:
        """Read the epoch again.

        Raises:
            IntegrityError: it is lower than it was: the state was put back to an earlier copy of itself meanwhile.
        """
        seen_at, before = monotonic(), self.epoch
        with self._store.read() as state:
            now = state.epoch
        if now < before:
            raise IntegrityError(
                f"the state was put back to an earlier copy of itself, from change {before} of its keys to {now}",
                next_step="If you restored a backup, open the state again, and repeat what was revoked since then.",
            )
        self.epoch = now
        self.valid_until = seen_at + _SECONDS

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
