"""Makes connections and the sessions on them."""

from __future__ import annotations

import os

from keyclave.errors import StateUnavailable
from keyclave.state.dbapi import Connection, Database
from keyclave.state.forks import refuse_inherited
from keyclave.state.integrity import RowMac
from keyclave.state.session import Session
from keyclave.state.statements import Compiler

__all__ = ["Connector"]


class Connector:
    """What the connections of one store have in common.

    Args:
        database: what to connect to.
        mac: makes and checks the MACs of rows.

    Attributes:
        database: as given.
        closed: whether the store was closed.
    """

    __slots__ = ("_compiler", "_mac", "_process", "closed", "database")

    def __init__(self, database: Database, mac: RowMac) -> None:
        self.database = database
        self.closed = False
        self._mac = mac
        self._compiler = Compiler(database.dialect)
        self._process = os.getpid()

    @property
    def inherited(self) -> bool:
        """Whether this process is a fork of the one that opened the store."""
        return os.getpid() != self._process

    def require_usable(self) -> None:
        """Raise ``StateUnavailable`` if the store is closed, or belongs to the parent of this process."""
        if os.getpid() != self._process:
            refuse_inherited(None)
        if self.closed:
            raise StateUnavailable(
                "Keyclave is closed", next_step="Open it again with `keyclave.open`.", retryable=False
            )

    def connect(self, *, read_only: bool = False) -> Connection:
        """Return a new connection; raise what the error of the database means."""
        try:
            return self.database.connect(read_only=read_only)
        except self.database.error as error:
            failure = self.database.explain(error)
        raise failure

    def settle(self, connection: Connection) -> None:
        """Let a connection see only what is durable; raise what the error of the database means."""
        try:
            self.database.settle(connection)
        except self.database.error as error:
            failure = self.database.explain(error)
        else:
            return
        raise failure

    def session(self, connection: Connection) -> Session:
        """Return a session on a connection."""
        return Session(self.database, connection.cursor(), self._compiler, self._mac)

    def close(self, connection: Connection) -> None:
        """Close a connection, whatever state it is in, unless it is the parent's of this process."""
        if self.inherited:
            return
        try:
            connection.close()
        except self.database.error:
            # It is not used again, and the lock of a dead transaction ends with its file handle.
            return
