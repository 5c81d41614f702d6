"""The audit log's records, and where its chains end, inside one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, insert, literal_column, or_, select
from sqlalchemy.sql import Select

from keyclave.errors import IntegrityError
from keyclave.state.anchors import Anchors
from keyclave.state.records import AuditHead, AuditRow
from keyclave.state.schema import AUDIT_HEAD, OPERATIONS
from keyclave.state.session import Session

__all__ = ["AuditTable", "HeadLike", "RowLike"]

_APPEND = insert(OPERATIONS)
_SELECTION: Select[Any] = select(*OPERATIONS.c)
_FIND = _SELECTION.where(OPERATIONS.c.operation_id == bindparam("the_operation_id"))
_AFTER = (
    _SELECTION.where(OPERATIONS.c.chain == bindparam("the_chain"), OPERATIONS.c.sequence > bindparam("after"))
    .order_by(OPERATIONS.c.sequence)
    .limit(bindparam("limit", type_=BigInteger))
    .offset(literal_column("0"))
)
_CHAINS = select(AUDIT_HEAD.c.chain).order_by(AUDIT_HEAD.c.chain)
_STRAY = (
    select(OPERATIONS.c.sequence)
    .where(or_(OPERATIONS.c.chain < literal_column("1"), OPERATIONS.c.chain > bindparam("last")))
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)


class HeadLike(Protocol):
    """What `AuditHead` shows."""

    @property
    def sequence(self) -> int:
        """The number of the last record."""

    @property
    def hash(self) -> bytes:
        """Its chain hash."""


class RowLike(HeadLike, Protocol):
    """What `AuditRow` shows."""

    @property
    def operation_id(self) -> UUID:
        """Unique in the log."""

    @property
    def occurred_at(self) -> int:
        """Microseconds since 1970 UTC."""

    @property
    def key_reference(self) -> str:
        """The key that it concerns."""

    @property
    def record(self) -> bytes:
        """The record's bytes."""


class AuditTable:
    """The records. They carry no MAC of their own: the chain leads from each to its head, which has one."""

    __slots__ = ("_anchors", "_session")

    def __init__(self, session: Session, anchors: Anchors) -> None:
        self._session = session
        self._anchors = anchors

    @property
    def chain(self) -> int:
        """The number of the chain that this transaction appends to."""
        return self._anchors.chain

    def chains(self) -> tuple[int, ...]:
        """Return the numbers of all chains, ascending; whether they are all that there were, ``prove`` says."""
        return tuple(chain for (chain,) in self._session.query(_CHAINS))

    def head(self, chain: int | None = None) -> AuditHead:
        """Return where a chain ends; the one that this transaction appends to, unless told.

        Raises:
            IntegrityError: that row was changed, or has gone.
        """
        if chain is None or chain == self._anchors.chain:
            return self._anchors.head
        return Anchors(self._session, chain).head

    def append(self, rows: Sequence[RowLike], head: HeadLike) -> None:
        """Add rows, and move the head to the last of them. The database refuses rows out of sequence."""
        chain = self._anchors.chain
        values = [
            (chain, row.hash, row.key_reference, row.occurred_at, row.operation_id.hex, row.record, row.sequence)
            for row in rows
        ]
        if len(values) == 1:
            self._session.change(_APPEND, values[0])
        else:
            self._session.insert_all(OPERATIONS, values)
        self._anchors.move_head(head.sequence, head.hash)

    def prove(self) -> None:
        """Return if every chain is there, none is shorter than when a key changed last, and no record is in another.

        Raises:
            IntegrityError: one is not.
        """
        heads = self._anchors.heads()
        if self._session.query(_STRAY, (len(heads),)):
            raise IntegrityError("there is a record in a chain of the audit log that is not one")

    def find(self, operation_id: UUID) -> AuditRow | None:
        """Return the record of an operation, ``None`` if there is none."""
        rows = self._session.query(_FIND, (operation_id.hex,))
        return _to_row(rows[0]) if rows else None

    def rows(self, chain: int, after: int, limit: int) -> tuple[AuditRow, ...]:
        """Return up to ``limit`` rows of a chain with a sequence greater than ``after``, ascending."""
        return tuple(map(_to_row, self._session.query(_AFTER, (chain, after, limit))))


def _to_row(values: Sequence[Any]) -> AuditRow:
    _, chain_hash, key_reference, occurred_at, operation_id, record, sequence = values
    try:
        identity = UUID(hex=operation_id)
    except ValueError:
        identity = None
    if identity is None:
        raise IntegrityError(f"audit record {sequence} was changed outside Keyclave")
    return AuditRow(
        sequence=sequence,
        operation_id=identity,
        occurred_at=occurred_at,
        key_reference=key_reference,
        record=record,
        hash=chain_hash,
    )
