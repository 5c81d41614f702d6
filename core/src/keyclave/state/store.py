"""The state of one Keyclave instance: opened once, shared between threads, written and read in transactions."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from keyclave.errors import StateUnavailable
from keyclave.state import forks
from keyclave.state.anchors import Access
from keyclave.state.bootstrap import open_instance
from keyclave.state.connector import Connector
from keyclave.state.databases import database_at
from keyclave.state.readers import Readers, ReadTransaction
from keyclave.state.transaction import Transaction
from keyclave.state.writer import Writer, WriteTransaction

__all__ = ["Store", "Transaction"]

_TIMEOUT = 5.0


class Store:
    """The state. Use `Store.open`.

    Attributes:
        instance_id: the identity of the instance, made when its database was.
    """

    def __init__(self, connector: Connector, writer: Writer, lease_writer: Writer, instance_id: UUID) -> None:
        self.instance_id = instance_id
        self._connector = connector
        self._writer = writer
        self._lease_writer = lease_writer
        self._readers = Readers(connector)
        forks.watch(self)

    @classmethod
    def open(cls, url: SecretStr | str, *, key_file: Path, timeout: float = _TIMEOUT) -> Store:
        """Open the state; make it if there is none.

        Args:
            url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``postgresql://user@host/database``. An
                SQLite file is created with mode 0600, in a directory of mode 0700, and its schema is upgraded.
            key_file: the instance key that authenticates every row; made together with a new database.
            timeout: seconds to wait for a lock that another thread or process holds.

        Raises:
            ConfigurationError: the URL, a file or a setting of the database is not as it must be, or the schema is
                newer than this code.
            IntegrityError: the key file is missing or belongs to another database, or the database is damaged.
            Conflict: another process kept the database locked.
            StateUnavailable: the database failed, or the parent of this forked process has it open.
        """
        database = database_at(url, timeout)
        forks.refuse_inherited(database.place())
        connector, instance_id = open_instance(database, Path(key_file).absolute())
        writer, lease_writer = (Writer(connector, timeout, appends=appends) for appends in (True, False))
        return cls(connector, writer, lease_writer, instance_id)

    def write(self) -> WriteTransaction:
        """Begin a transaction that is durable when its block ends without an exception.

        One at a time, over all threads and processes, and no record is appended meanwhile. Where the block raises,
        nothing was written; nor is anything written where a statement failed and the block went on: its error is
        raised at the end.

        Raises:
            Conflict: another transaction took too long, or the database refused a change. Nothing was written.
            IntegrityError: the database is damaged.
            StateUnavailable: the database failed. Where the commit did, it is not known whether the transaction is
                durable. The next transaction uses a new connection.
        """
        return WriteTransaction(self._writer, Access.CHANGE)

    def append(self) -> WriteTransaction:
        """Begin a transaction that appends to the audit log, and otherwise reads: no key changes before its end.

        On a server such transactions of several processes go on at the same time, each on a chain of its own.
        Otherwise it is as that of ``write``.
        """
        return WriteTransaction(self._writer, Access.APPEND)

    def lease(self) -> WriteTransaction:
        """Begin a transaction that changes leases, and nothing else. It is durable as one of ``write``.

        In PostgreSQL it waits for no transaction that writes other things, so that nobody loses a lease by that.

        Raises:
            KeyclaveError: as ``write`` does.
        """
        return WriteTransaction(self._lease_writer, Access.LEASE)

    def read(self) -> ReadTransaction:
        """Begin a transaction that sees one moment and changes nothing. It waits for no writer.

        Raises:
            IntegrityError: the database is damaged.
            StateUnavailable: the database failed.
        """
        return ReadTransaction(self._readers, self._connector)

    def reopen(self) -> None:
        """Drop every connection, open a new one, and let it write to the disk again what it sees.

        After a failed flush the operating system may show what the disk does not hold; after this, what is seen was
        written anew. Raises as ``write`` does. The connection of the leases stays: their renewal must not wait for
        this, and one that has died is replaced.
        """
        self._connector.require_usable()
        self._readers.forget()
        self._writer.reopen()

    def close(self) -> None:
        """Wait for the transaction that writes, and close every connection. A second call does nothing."""
        if not self._connector.inherited:
            self._connector.closed = True
            self._readers.forget()
            self._writer.close()
            self._lease_writer.close()

    def place(self) -> str:
        """Return where the database is, without secrets."""
        return self._connector.database.place()

    def connections(self) -> list[object]:
        """Return every connection that is open, for a forked child to leave alone."""
        writers = (self._writer.connection, self._lease_writer.connection)
        return [*self._readers.connections(), *(connection for connection in writers if connection is not None)]

    def abandon(self, failure: StateUnavailable) -> None:
        """Let every transaction that is under way fail like this, without touching its connection."""
        for session in (*self._readers.sessions(), self._writer.session, self._lease_writer.session):
            if session is not None:
                session.abandon(failure)
