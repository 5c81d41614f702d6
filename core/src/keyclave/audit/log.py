"""The audit log: a caller has its result only after the record of it is durable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from keyclave.audit.checker import AuditReport, verify_log
from keyclave.audit.group import BATCH_SIZE, QUEUE_LIMIT, GroupCommit
from keyclave.audit.operations import audit_reference, operation_of, to_microseconds
from keyclave.audit.pending import Guard, Outcome, Pending
from keyclave.audit.protocols import Transaction, Transactions
from keyclave.audit.reader import RecordFilter, read_records
from keyclave.audit.record import AuditEntry, encode_entry
from keyclave.audit.writer import Writer, chain_records
from keyclave.errors import AuditUnavailable, Conflict
from keyclave.models.operation import CryptographicOperation, OperationType

__all__ = ["AuditEntry", "AuditLog", "Guard", "StaleKey"]


class StaleKey(Conflict):
    """The key version was rotated away, revoked or destroyed while it was used, so the result was dropped.

    The attempt is in the log, as a failed operation.
    """


class AuditLog:
    """Appends, reads and proves the records of one instance. Safe to share between threads.

    Args:
        transactions: the database.
        instance_id: the Keyclave instance; part of every audit reference.
        enabled: without it nothing is written and there are no references.
        batch_size: the most records in one transaction.
        queue_limit: the most callers that wait; the next one is refused with ``AuditUnavailable``.
    """

    def __init__(
        self,
        transactions: Transactions,
        *,
        instance_id: UUID,
        enabled: bool = True,
        batch_size: int = BATCH_SIZE,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._transactions = transactions
        self._instance_id = instance_id
        self._enabled = enabled
        self._process = os.getpid()
        self._group: GroupCommit[Pending] = GroupCommit(
            Writer(transactions).commit, batch_size=batch_size, queue_limit=queue_limit
        )

    @property
    def enabled(self) -> bool:
        """Whether operations are recorded."""
        return self._enabled

    def append(self, entry: AuditEntry, guard: Guard | None = None) -> str | None:
        """Write the record of an operation, and return its reference when the record is durable.

        Must not be called inside a transaction: use `append_in` there.

        Args:
            entry: what was done.
            guard: what was known of the key when it was used; without it nothing is checked.

        Returns:
            The audit reference; ``None`` when the log is not enabled.

        Raises:
            InvalidArgument: the entry is not valid.
            StaleKey: the key may not be used for this any more. A failed operation was recorded instead, and
                the result of the operation must be dropped.
            AuditUnavailable: no durable record could be proved, and the result must be dropped.
        """
        if not self._enabled:
            return None
        pending = Pending(entry, guard)
        self._refuse_fork()
        self._group.submit(pending)
        if pending.outcome is Outcome.NOT_WRITTEN:
            raise AuditUnavailable(pending.reason, retryable=pending.retryable)
        if pending.outcome is Outcome.STALE:
            raise StaleKey("the key was changed while it was used; the result was dropped")
        return audit_reference(self._instance_id, entry.operation_id)

    def append_in(self, transaction: Transaction, *entries: AuditEntry) -> tuple[str, ...]:
        """Write records inside a state change: they become durable with it, or not at all.

        Returns:
            The audit references, in the order of the entries; none when the log is not enabled.

        Raises:
            InvalidArgument: an entry is not valid.
            IntegrityError: the head of the log was changed.
        """
        records = [(entry, encode_entry(entry)) for entry in entries]
        if not self._enabled or not records:
            return ()
        chain_records(transaction, transaction.audit.head(), records)
        return tuple(audit_reference(self._instance_id, entry.operation_id) for entry in entries)

    def records(
        self,
        *,
        key_reference: str | None = None,
        operation_type: OperationType | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[CryptographicOperation]:
        """Yield the operations in bounded memory: each chain in its order, merged by time.

        Args:
            key_reference: only those of this key.
            operation_type: only those of this type.
            since: only those at or after this aware time.
            until: only those before this aware time.

        Raises:
            InvalidArgument: a time without a time zone.
            IntegrityError: a stored record is not what was written.
        """
        wanted = RecordFilter(
            key_reference=key_reference,
            operation_type=operation_type,
            since=None if since is None else to_microseconds(since, "since"),
            until=None if until is None else to_microseconds(until, "until"),
        )
        return (operation_of(record, self._instance_id) for record in read_records(self._transactions, wanted))

    def verify(self) -> AuditReport:
        """Prove the whole log and that the keys are what was written last, and report what is wrong."""
        return verify_log(self._transactions)

    def close(self) -> None:
        """Refuse further entries, and return when those that wait have been written. The database stays open."""
        self._group.close()

    def _refuse_fork(self) -> None:
        if os.getpid() != self._process:
            raise AuditUnavailable("the process was forked after the audit log was opened", retryable=False)
