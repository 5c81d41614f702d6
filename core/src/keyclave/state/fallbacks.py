"""Since when standby versions sign for the keys of a backend, inside one transaction."""

from __future__ import annotations

from datetime import datetime

from keyclave.state.codec import Codec
from keyclave.state.records import StoredFallback
from keyclave.state.schema import FALLBACKS
from keyclave.state.session import Session
from keyclave.state.statements import SealedTable

__all__ = ["Fallbacks"]

_TABLE = SealedTable(FALLBACKS, "backend_id")
_BY_BACKEND = _TABLE.where("backend_id")
_CODEC = Codec(StoredFallback)


class Fallbacks:
    """The last fallback of each backend: one row, which the processes of a fleet share."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, backend_id: str) -> StoredFallback | None:
        """Return the last fallback of a backend; ``None`` if there was none."""
        row = self._session.row(_TABLE, _BY_BACKEND, the_backend_id=backend_id)
        return None if row is None else _CODEC.to_record(row)

    def put(self, fallback: StoredFallback) -> None:
        """Let this be the last fallback of its backend. The database refuses one before the last one ended."""
        row = _CODEC.to_row(fallback)
        if self.get(fallback.backend_id) is None:
            self._session.insert(_TABLE, row)
        else:
            self._session.update(_TABLE, row)

    def end(self, backend_id: str, now: datetime) -> StoredFallback | None:
        """End the fallback of a backend, and return it; ``None`` if none is under way."""
        fallback = self.get(backend_id)
        if fallback is None or fallback.ended_at is not None:
            return None
        ended = StoredFallback(
            backend_id=backend_id, begun_at=fallback.begun_at, ended_at=max(now, fallback.begun_at)
        )
        self.put(ended)
        return ended
