"""The one connection that writes, kept open: a transaction at a time, each durable when it ends."""

from __future__ import annotations

import threading
from types import TracebackType

from keyclave.errors import Conflict, InvalidArgument, StateUnavailable
from keyclave.state.anchors import FIRST_CHAIN, Access
from keyclave.state.chains import take_chain
from keyclave.state.connector import Connector
from keyclave.state.dbapi import Connection
from keyclave.state.session import Session
from keyclave.state.transaction import Transaction

__all__ = ["WriteTransaction", "Writer"]


class Writer:
    """Runs one writing transaction after the other, for all threads.

    After anything but a refusal the connection is dropped, and the next transaction opens a new one.

    Args:
        connector: makes connections.
        timeout: seconds to wait for another thread of this process.
        appends: whether it appends to the audit log, and so needs a chain of it.

    Attributes:
        connection: the connection; ``None`` while there is none.
        chain: the chain of the audit log that it appends to; another one, perhaps, for each connection.
        session: the transaction that is under way, or the last one.
    """

    def __init__(self, connector: Connector, timeout: float, *, appends: bool) -> None:
        database = connector.database
        self._connector = connector
        self._appends = appends
        self._begin = {
            Access.LEASE: database.begin_lease,
            Access.APPEND: database.begin_append,
            Access.CHANGE: database.begin_write,
        }
        self._timeout = timeout
        self._lock = threading.Lock()
        self._thread = 0
        self.chain = FIRST_CHAIN
        self.connection: Connection | None = None
        self.session: Session | None = None

    def begin(self, access: Access) -> Session:
        """Begin a transaction; see `keyclave.state.store.Store`.

        Where a connection that was kept has died since, a new one takes its place. Not so for one that only appends:
        what the log holds after that must be proved first, by who writes it.
        """
        self._enter()
        try:
            replaceable = self.connection is not None and access is not Access.APPEND
            try:
                return self._begun(access)
            except StateUnavailable:
                if not replaceable:
                    raise
            return self._begun(access)
        except BaseException:
            self._leave(None)
            raise

    def _begun(self, access: Access) -> Session:
        self.session = session = self._connector.session(self._connected())
        try:
            session.begin(self._begin[access])
        except BaseException:
            self._finish(session)
            raise
        return session

    def end(self, session: Session, *, commit: bool) -> None:
        """End a transaction: durable if it is to be committed and no statement failed, else without a trace."""
        failure = session.failure
        try:
            if commit and failure is None:
                session.commit()
        finally:
            self._leave(session)
        if commit and failure is not None:
            raise failure

    def reopen(self) -> None:
        """Open a new connection, and let it write to the disk again what it sees."""
        self._enter()
        try:
            self._drop()
            self._connector.settle(self._connected())
        finally:
            self._leave(None)

    def close(self) -> None:
        """Wait for the transaction that is under way, and close the connection."""
        with self._lock:
            self._drop()

    def _enter(self) -> None:
        self._connector.require_usable()
        thread = threading.get_ident()
        if self._thread == thread:
            raise InvalidArgument("this thread is in a writing transaction already")
        if not self._lock.acquire(timeout=self._timeout):
            raise Conflict("another thread kept the database locked for too long")
        self._thread = thread

    def _leave(self, session: Session | None) -> None:
        try:
            if session is not None:
                self._finish(session)
        finally:
            self._thread = 0
            self._lock.release()

    def _finish(self, session: Session) -> None:
        if not session.end():
            self._drop()

    def _connected(self) -> Connection:
        if self.connection is None:
            self._connector.require_usable()  # it may have been closed while this thread waited
            self.connection = self._connector.connect()
            try:
                if self._appends:
                    self.chain = take_chain(self._connector, self.connection)
            except BaseException:
                self._drop()
                raise
        return self.connection

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            self._connector.close(connection)


class WriteTransaction:
    """A writing transaction as a context manager."""

    __slots__ = ("_access", "_session", "_writer")

    def __init__(self, writer: Writer, access: Access) -> None:
        self._writer = writer
        self._access = access

    def __enter__(self) -> Transaction:
        self._session = self._writer.begin(self._access)
        return Transaction(self._session, self._writer.chain, self._access)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.end(self._session, commit=exc_type is None)
