"""The time of the clock as it was trusted last."""

from __future__ import annotations

from datetime import datetime

from keyclave.state.codec import from_microseconds, to_microseconds
from keyclave.state.schema import CLOCK
from keyclave.state.session import Session
from keyclave.state.statements import SealedTable

__all__ = ["Clock"]

_TABLE = SealedTable(CLOCK, "singleton")


class Clock:
    """What decides by time whether something may be destroyed compares the clock with this."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def witnessed(self) -> datetime | None:
        """Return the time that was trusted last, UTC; ``None`` before the first."""
        row = self._session.row(_TABLE, _TABLE.selection)
        return None if row is None else from_microseconds(int(row["witnessed_at"] or 0))

    def witness(self, now: datetime) -> None:
        """Trust this time."""
        row = {"singleton": 1, "witnessed_at": to_microseconds(now)}
        if self._session.row(_TABLE, _TABLE.selection) is None:
            self._session.insert(_TABLE, row)
        else:
            self._session.update(_TABLE, row)
