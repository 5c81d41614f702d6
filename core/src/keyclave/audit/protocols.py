"""What the audit log needs from the database, by structure: it imports nothing of the state."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

import msgspec

__all__ = ["AuditTable", "Head", "HeadLike", "Row", "RowLike", "Transaction", "Transactions", "UsableKeys"]


class HeadLike(Protocol):
    """Where a chain ends."""

    @property
    def sequence(self) -> int:
        """The number of the last record; 0 in an empty chain."""

    @property
    def hash(self) -> bytes:
        """Its chain hash; 32 zero bytes in an empty chain."""


class RowLike(Protocol):
    """One record as the database keeps it: its place, copies of what is searched for, and the record itself."""

    @property
    def sequence(self) -> int:
        """Its place in its chain, from 1, without gaps."""

    @property
    def operation_id(self) -> UUID:
        """Copied from the record."""

    @property
    def occurred_at(self) -> int:
        """Copied from the record: microseconds since 1970 UTC."""

    @property
    def key_reference(self) -> str:
        """Copied from the record."""

    @property
    def record(self) -> bytes:
        """The canonical bytes of the record."""

    @property
    def hash(self) -> bytes:
        """The chain hash up to and with this record, 32 bytes."""


class Head(msgspec.Struct, frozen=True):
    """A place in a chain; see `HeadLike`."""

    sequence: int
    hash: bytes


class Row(msgspec.Struct, frozen=True):
    """The row that the log writes; see `RowLike`."""

    sequence: int
    operation_id: UUID
    occurred_at: int
    key_reference: str
    record: bytes
    hash: bytes


class AuditTable(Protocol):
    """The records inside one transaction."""

    @property
    def chain(self) -> int:
        """The number of the chain that this transaction appends to."""

    def chains(self) -> Sequence[int]:
        """Return the numbers of the chains that are there."""

    def head(self, chain: int | None = None) -> HeadLike:
        """Return where a chain ends, the own one unless told; raise ``IntegrityError`` if that row was changed."""

    def append(self, rows: Sequence[RowLike], head: HeadLike) -> None:
        """Add the rows to the own chain, and move its head to the last of them."""

    def find(self, operation_id: UUID) -> RowLike | None:
        """Return the record of an operation, ``None`` if there is none."""

    def rows(self, chain: int, after: int, limit: int) -> Sequence[RowLike]:
        """Return up to ``limit`` rows of a chain with a sequence greater than ``after``, ascending."""

    def prove(self) -> None:
        """Return if the chains are all that there were; raise ``IntegrityError`` if not."""


class UsableKeys(Protocol):
    """The keys inside one transaction, as far as the log asks about them."""

    def usable(self, key_id: UUID, version: int, operation_type: str) -> bool:
        """Return whether this version may be used for this operation now."""

    def prove(self) -> None:
        """Return if every key and version is what was written last; raise ``IntegrityError`` if one is not."""


class Transaction(Protocol):
    """One transaction; everything read in it is of one moment."""

    @property
    def audit(self) -> AuditTable:
        """The records."""

    @property
    def keys(self) -> UsableKeys:
        """The keys."""

    @property
    def epoch(self) -> int:
        """A number that rises with every change of keys or key versions."""


class Transactions(Protocol):
    """The database."""

    def append(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction that appends records, and is durable when its block ends without an exception.

        No other one appends to its chain, and no key changes, before it has ended. ``Conflict`` and
        ``IntegrityError`` say that nothing was written: another one took too long, the database refused a row
        (``Conflict`` that is not retryable), or stored data is not what was written. Nor was anything where the
        transaction could not begin, or its block raised. After any other exception at its end it is unknown whether
        the transaction is durable.
        """

    def read(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction that sees one moment and changes nothing."""

    def reopen(self) -> None:
        """Drop every connection and open new ones, so that only what the disk holds is seen.

        What is seen afterwards was written to the disk again: after a failed ``fsync`` the copy in the page
        cache proves nothing.
        """
