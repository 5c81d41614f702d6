"""A forked child must neither use nor close what its parent opened.

SQLite believes that its locks are the process's own: in a child it would write without any, and even closing a
connection there could undo, in memory that both share, what the parent is about to commit. So a child leaves them
alone for as long as it lives, and cannot open the same database itself.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

from keyclave.errors import StateUnavailable

__all__ = ["Inherited", "refuse_inherited", "watch"]

_NEXT_STEP = "Open Keyclave after the fork, or start processes with the spawn method of multiprocessing."


class Inherited(Protocol):
    """What holds connections and runs transactions on them."""

    def place(self) -> str:
        """Return where the database is."""

    def connections(self) -> list[object]:
        """Return every connection that is open."""

    def abandon(self, failure: StateUnavailable) -> None:
        """Let every transaction that is under way fail like this, without touching its connection."""


_open: WeakSet[Inherited] = WeakSet()
_left_alone: dict[str, list[object]] = {}


def watch(holder: Inherited) -> None:
    """Keep its connections from being used or closed in children of this process."""
    _open.add(holder)


def refuse_inherited(place: str | None) -> None:
    """Raise ``StateUnavailable`` if the parent of this process had that database open when it was forked.

    Args:
        place: the database; ``None`` for one that is known to be inherited.
    """
    if place is None or place in _left_alone:
        raise _forked()


def _forked() -> StateUnavailable:
    return StateUnavailable(
        "the process was forked while the database was open", retryable=False, next_step=_NEXT_STEP
    )


def _leave_alone() -> None:
    import ctypes  # noqa: PLC0415  only in a child, which needs it rarely

    for holder in _open:
        holder.abandon(_forked())
        connections = holder.connections()
        if connections:
            _left_alone.setdefault(holder.place(), []).extend(connections)
        for connection in connections:
            # One reference more than there are: not even the end of the interpreter closes it.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_alone)
