"""Reads the log back as operations, page by page."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from operator import attrgetter

import msgspec

from keyclave.audit.protocols import RowLike, Transactions
from keyclave.audit.record import AuditRecord, decode_record
from keyclave.errors import IntegrityError
from keyclave.models.operation import OperationType

__all__ = ["RecordFilter", "read_records"]

_PAGE = 512


class RecordFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are wanted; ``None`` wants all.

    Attributes:
        key_reference: only those of this key.
        operation_type: only those of this type.
        since, until: only those at or after ``since`` and before ``until``, microseconds since 1970 UTC.
    """

    key_reference: str | None = None
    operation_type: OperationType | None = None
    since: int | None = None
    until: int | None = None

    def wants(self, record: AuditRecord) -> bool:
        """Return whether the record is wanted. It looks at the record, never at the columns beside it."""
        return (
            (self.key_reference is None or record.key_reference == self.key_reference)
            and (self.operation_type is None or record.operation_type is self.operation_type)
            and (self.since is None or record.occurred_at >= self.since)
            and (self.until is None or record.occurred_at < self.until)
        )


def read_records(transactions: Transactions, wanted: RecordFilter) -> Iterator[AuditRecord]:
    """Yield the wanted records in bounded memory and short transactions: each chain in its order, merged by time.

    Raises:
        IntegrityError: a record is not in its canonical form; the message says which.
    """
    with transactions.read() as transaction:
        chains = transaction.audit.chains()
    everything = (_read_chain(transactions, chain) for chain in chains)
    return filter(wanted.wants, heapq.merge(*everything, key=attrgetter("occurred_at")))


def _read_chain(transactions: Transactions, chain: int) -> Iterator[AuditRecord]:
    sequence = 0
    while rows := _page(transactions, chain, sequence):
        for row in rows:
            yield _decode(chain, row)
        sequence = rows[-1].sequence


def _page(transactions: Transactions, chain: int, after: int) -> Sequence[RowLike]:
    with transactions.read() as transaction:
        return transaction.audit.rows(chain, after, _PAGE)


def _decode(chain: int, row: RowLike) -> AuditRecord:
    try:
        return decode_record(row.record)
    except IntegrityError as error:
        raise IntegrityError(f"audit record {row.sequence} of chain {chain}: {error.message}") from None
