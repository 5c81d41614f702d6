"""The connections that read: as many as read at the same time, a few of them kept."""

from __future__ import annotations

import threading
from types import TracebackType

from keyclave.errors import StateUnavailable
from keyclave.state.connector import Connector
from keyclave.state.dbapi import Connection
from keyclave.state.session import Session
from keyclave.state.transaction import Transaction

__all__ = ["ReadTransaction", "Readers"]

_KEPT = 8


class Readers:
    """Lends connections to reading transactions.

    Args:
        connector: makes connections.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._lent: dict[Connection, Session | None] = {}
        self._generation = 0

    def connections(self) -> list[Connection]:
        """Return every connection that is open."""
        return [*self._idle, *self._lent]

    def sessions(self) -> list[Session]:
        """Return the transactions that are under way."""
        return [session for session in self._lent.values() if session is not None]

    def note(self, connection: Connection, session: Session) -> None:
        """Note the transaction that a lent connection is in."""
        self._lent[connection] = session

    def borrow(self) -> tuple[Connection, int, bool]:
        """Return a connection, the generation that it belongs to, and whether it was kept from an earlier use."""
        self._connector.require_usable()
        with self._lock:
            generation = self._generation
            kept = self._idle.pop() if self._idle else None
            if kept is not None:
                self._lent[kept] = None
                return kept, generation, True
        connection = self._connector.connect(read_only=True)
        with self._lock:
            self._lent[connection] = None
        return connection, generation, False

    def give_back(self, connection: Connection, generation: int, *, usable: bool) -> None:
        """Take a connection back; it is kept unless it is broken, too old, or there are enough."""
        with self._lock:
            self._lent.pop(connection, None)
            keep = usable and generation == self._generation and len(self._idle) < _KEPT
            if keep:
                self._idle.append(connection)
        if not keep:
            self._connector.close(connection)

    def forget(self) -> None:
        """Close the idle connections, and do not keep those that are lent."""
        with self._lock:
            self._generation += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            self._connector.close(connection)


class ReadTransaction:
    """A reading transaction as a context manager."""

    __slots__ = ("_connection", "_connector", "_generation", "_readers", "_session")

    def __init__(self, readers: Readers, connector: Connector) -> None:
        self._readers = readers
        self._connector = connector

    def __enter__(self) -> Transaction:
        self._connection, self._generation, kept = self._readers.borrow()
        if kept:
            try:
                return self._begin()
            except StateUnavailable:
                self._readers.forget()  # it has died since, and so have the others that were kept, perhaps
            self._connection, self._generation, _ = self._readers.borrow()
        return self._begin()

    def _begin(self) -> Transaction:
        try:
            self._session = self._connector.session(self._connection)
            self._readers.note(self._connection, self._session)
            self._session.begin(self._connector.database.begin_read)
        except BaseException:
            self._readers.give_back(self._connection, self._generation, usable=False)
            raise
        return Transaction(self._session)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        usable = self._session.end()
        self._readers.give_back(self._connection, self._generation, usable=usable)
