"""Writes batches of records in one transaction each, and finds out what a failed commit has left behind."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from keyclave.audit.chain import GENESIS, chain_hash
from keyclave.audit.checker import verify_log
from keyclave.audit.pending import Pending
from keyclave.audit.protocols import AuditTable, Head, HeadLike, Row, Transaction, Transactions
from keyclave.audit.record import AuditEntry
from keyclave.errors import Conflict, IntegrityError, KeyclaveError

__all__ = ["Writer", "chain_records"]

_TAIL = 256
_BROKEN = "the stored log is not as it was written"

_logger = logging.getLogger(__name__)


def chain_records(transaction: Transaction, head: HeadLike, records: Iterable[tuple[AuditEntry, bytes]]) -> HeadLike:
    """Append records behind ``head`` inside a transaction, and return the new head."""
    sequence, previous = head.sequence, head.hash
    rows = []
    for entry, record in records:
        sequence += 1
        previous = chain_hash(previous, record)
        rows.append(Row(sequence, entry.operation_id, entry.occurred_at, entry.key_reference, record, previous))
    end = Head(sequence, previous)
    transaction.audit.append(rows, end)
    return end


class Writer:
    """Commits batches. After an error in a commit it writes nothing until it has read the log again.

    Args:
        transactions: the database.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._seen: dict[int, HeadLike] = {}
        self._poisoned = False

    def commit(self, batch: Sequence[Pending], *, again: bool = False) -> bool:
        """Write a batch, and note in each entry what became of it.

        Args:
            batch: the entries.
            again: whether this is the second attempt, after one of which nothing was written.

        Returns:
            Whether entries that wait behind this batch may do better.
        """
        if self._poisoned and not self._recover(batch):
            return False
        committing = False
        try:
            with self._transactions.append() as transaction:
                chain, head = transaction.audit.chain, self._write(transaction, batch)
                committing = True
        except Conflict as error:
            return _give_up(batch, error.message) if error.retryable else self._one_by_one(batch, error.message)
        except IntegrityError:
            return _give_up(batch, _BROKEN, retryable=False)
        except Exception as error:
            self._poisoned = True
            _logger.warning("audit commit failed (%s); reading the log again", _text(error))
            if committing or again:
                return self._recover(batch, tried=committing)
            return self.commit(batch, again=True)
        except BaseException:
            self._poisoned = True
            raise
        self._seen[chain] = head
        for pending in batch:
            pending.succeed()
        return True

    def _write(self, transaction: Transaction, batch: Sequence[Pending]) -> HeadLike:
        head = transaction.audit.head()
        self._refuse_loss(transaction.audit.chain, head)
        if any(pending.guard for pending in batch):
            epoch = transaction.epoch
            for pending in batch:
                pending.check_guard(transaction, epoch)
        return chain_records(transaction, head, [(pending.entry, pending.record) for pending in batch])

    def _one_by_one(self, batch: Sequence[Pending], reason: str) -> bool:
        """The database refused a record and nothing was written: find out which, and write the others."""
        if len(batch) == 1:
            _give_up(batch, reason, retryable=False)
        else:
            for pending in batch:
                self.commit([pending])
        return True

    def _refuse_loss(self, chain: int, head: HeadLike) -> None:
        """Notice a database that went back to an earlier state under the running process."""
        seen = self._seen.get(chain)
        if seen is None or head.sequence > seen.sequence:
            return
        if (head.sequence, head.hash) != (seen.sequence, seen.hash):
            raise IntegrityError("durable audit records were lost")

    def _recover(self, batch: Sequence[Pending], *, tried: bool = False) -> bool:
        """Open the database again, prove the end of each chain and, after a commit was tried, look for its records.

        Returns:
            Whether the log can be written again.
        """
        found: list[Pending] = []
        try:
            self._transactions.reopen()
            report = verify_log(self._transactions, after=self._known())
            if tried:
                found = self._find(batch)
        except Exception as error:
            return _give_up(batch, _text(error))
        if not report.ok:
            return _give_up(batch, _BROKEN, retryable=False)
        self._seen = {end.chain: Head(end.sequence, end.hash) for end in report.chains}
        self._poisoned = False
        _give_up(batch, "the database did not take the record")
        for pending in found:
            pending.succeed()
        return True

    def _known(self) -> dict[int, HeadLike]:
        """Return a place in each chain: where it was seen last, or shortly before its end."""
        with self._transactions.read() as transaction:
            table = transaction.audit
            return {chain: self._seen.get(chain) or _tail(table, chain) for chain in table.chains()}

    def _find(self, batch: Sequence[Pending]) -> list[Pending]:
        with self._transactions.read() as transaction:
            rows = [(pending, transaction.audit.find(pending.entry.operation_id)) for pending in batch]
        return [pending for pending, row in rows if row is not None and row.record == pending.record]


def _tail(table: AuditTable, chain: int) -> HeadLike:
    sequence = table.head(chain).sequence - _TAIL
    rows = table.rows(chain, sequence - 1, 1) if sequence > 0 else ()
    return Head(rows[0].sequence, rows[0].hash) if rows else Head(0, GENESIS)


def _text(error: Exception) -> str:
    """Return what may be told of an error: a driver's own text could hold the statement with its values."""
    return error.message if isinstance(error, KeyclaveError) else type(error).__name__


def _give_up(batch: Iterable[Pending], reason: str, *, retryable: bool = True) -> bool:
    for pending in batch:
        pending.fail(reason, retryable=retryable)
    return False
