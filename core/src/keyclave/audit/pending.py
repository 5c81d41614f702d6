"""An entry on its way into the log, and what became of it."""

from __future__ import annotations

from enum import Enum, auto
from uuid import UUID

import msgspec

from keyclave.audit.group import Waiter
from keyclave.audit.protocols import Transaction
from keyclave.audit.record import AuditEntry, encode_entry
from keyclave.errors import IntegrityError
from keyclave.models.operation import OperationStatus

__all__ = ["Guard", "Outcome", "Pending"]

_STALE = "the key version was rotated, revoked, destroyed or damaged while it was used"


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knew of the key when it used it.

    Attributes:
        epoch: the epoch of the keys at that time.
        key_id: the key.
        version: the version that was used.
    """

    epoch: int
    key_id: UUID
    version: int


class Outcome(Enum):
    """What became of an entry: written, written as a refusal because the key was stale, or not written."""

    WRITTEN = auto()
    STALE = auto()
    NOT_WRITTEN = auto()


class Pending(Waiter):
    """An entry that waits for its commit. It counts as not written until a commit proves the contrary.

    Attributes:
        entry: what the caller wants recorded.
        record: its canonical bytes, made by the caller's thread while another one waits for the disk.
        guard: what must still hold of the key.
        outcome: what became of it.
        reason: why it was not written.
        retryable: whether it may be written later.
    """

    __slots__ = ("_stale", "entry", "guard", "outcome", "reason", "record", "retryable")

    def __init__(self, entry: AuditEntry, guard: Guard | None) -> None:
        super().__init__()
        self.entry = entry
        self.record = encode_entry(entry)
        self.guard = guard
        self.outcome = Outcome.NOT_WRITTEN
        self.reason = "the commit was interrupted"
        self.retryable = True
        self._stale = False

    def check_guard(self, transaction: Transaction, epoch: int) -> None:
        """Turn the record into that of a refused operation if the key may not be used any more."""
        guard = self.guard
        if guard is None or guard.epoch == epoch:
            return
        if not _usable(transaction, guard, self.entry.operation_type):
            refused = msgspec.structs.replace(self.entry, status=OperationStatus.FAILED, error_message=_STALE)
            self.record = encode_entry(refused)
            self._stale = True

    def succeed(self) -> None:
        """Note that the record is durable."""
        self.outcome = Outcome.STALE if self._stale else Outcome.WRITTEN

    def fail(self, reason: str, *, retryable: bool) -> None:
        """Note why the record is not known to be durable."""
        self.reason, self.retryable = reason, retryable


def _usable(transaction: Transaction, guard: Guard, operation_type: str) -> bool:
    try:
        return transaction.keys.usable(guard.key_id, guard.version, operation_type)
    except IntegrityError:
        # A key that somebody tampered with must not be used, and must not stop the records of the others.
        return False
