"""The rows on which the others rest: the instance with its epoch, and where each chain of the audit log ends.

The instance also has the sum of the epochs of all keys and versions; see `keyclave.state.newest`. A head has the
epoch at which it was moved there, so that the keys are not older than the log; and the instance has the place where
each chain was when the epoch was raised last, so that no chain is older than the keys, or has gone.

A transaction reads the instance together with the head of one chain, and bytes whose MACs were found good before
are not checked again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import bindparam, func, insert, select, update

from keyclave.errors import IntegrityError, InvalidArgument
from keyclave.state.codec import to_microseconds
from keyclave.state.integrity import RowMac, Value
from keyclave.state.records import AuditHead
from keyclave.state.schema import AUDIT_HEAD, INSTANCE
from keyclave.state.session import Session
from keyclave.state.statements import SealedTable

__all__ = ["FIRST_CHAIN", "Access", "Anchors", "create_anchors"]

FIRST_CHAIN = 1
"""The chain that every audit log has."""

_INSTANCE = SealedTable(INSTANCE, "singleton")


class _Rows(NamedTuple):
    """The instance, the head of one chain, and the highest epoch that a head has, in the order of the query."""

    chains: str | None
    created_at: int
    epoch: int
    epoch_sum: int
    identity: str
    mac: bytes
    chain: int
    head_epoch: int
    hash: bytes
    sequence: int
    head_mac: bytes
    newest: int


_QUERY = select(
    INSTANCE.c.chains,
    INSTANCE.c.created_at,
    INSTANCE.c.epoch,
    INSTANCE.c.epoch_sum,
    INSTANCE.c.instance_id,
    INSTANCE.c.mac,
    AUDIT_HEAD.c.chain,
    AUDIT_HEAD.c.epoch,
    AUDIT_HEAD.c.hash,
    AUDIT_HEAD.c.sequence,
    AUDIT_HEAD.c.mac,
    select(func.max(AUDIT_HEAD.alias().c.epoch)).scalar_subquery(),
).where(AUDIT_HEAD.c.chain == bindparam("the_chain"))
_LOCKING = _QUERY.with_for_update(of=AUDIT_HEAD)
_HEADS = select(
    AUDIT_HEAD.c.chain, AUDIT_HEAD.c.epoch, AUDIT_HEAD.c.hash, AUDIT_HEAD.c.sequence, AUDIT_HEAD.c.mac
).order_by(AUDIT_HEAD.c.chain)
_RAISE = update(INSTANCE).values(
    chains=bindparam("chains"), epoch=bindparam("epoch"), epoch_sum=bindparam("epoch_sum"), mac=bindparam("mac")
)
_MOVE = (
    update(AUDIT_HEAD)
    .values(epoch=bindparam("epoch"), hash=bindparam("hash"), mac=bindparam("mac"), sequence=bindparam("sequence"))
    .where(AUDIT_HEAD.c.chain == bindparam("the_chain"))
)
_ADD = insert(AUDIT_HEAD)
_EMPTY = bytes(32)


class Access(Enum):
    """What a transaction may do: read, change leases, append to the audit log, or change anything."""

    READ = auto()
    LEASE = auto()
    APPEND = auto()
    CHANGE = auto()


def create_anchors(session: Session) -> UUID:
    """Write the rows of a new database, and return the identity that the instance has from now on."""
    identity = uuid4()
    now = to_microseconds(datetime.now(UTC))
    session.insert(
        _INSTANCE,
        {"singleton": 1, "instance_id": identity.hex, "created_at": now, "epoch": 0, "epoch_sum": 0, "chains": "0"},
    )
    _add_head(session, FIRST_CHAIN, epoch=0)
    return identity


class Anchors:
    """These rows, as one transaction sees and changes them.

    Every property raises ``IntegrityError`` if a row was changed, or has gone.

    Args:
        session: the transaction.
        chain: the chain of the audit log that it appends to.
        access: what it may do.

    Attributes:
        chain: as given.
    """

    __slots__ = ("_access", "_ends", "_rows", "_session", "chain")

    def __init__(self, session: Session, chain: int = FIRST_CHAIN, access: Access = Access.READ) -> None:
        self.chain = chain
        self._access = access
        self._session = session
        self._rows: _Rows | None = None
        self._ends: dict[int, int] | None = None

    @property
    def instance_id(self) -> UUID:
        """The identity of the instance."""
        return UUID(hex=(self._rows or self._read()).identity)

    @property
    def epoch(self) -> int:
        """The epoch of the keys."""
        return (self._rows or self._read()).epoch

    @property
    def epoch_sum(self) -> int:
        """The sum of the epochs of all keys and versions."""
        return (self._rows or self._read()).epoch_sum

    @property
    def head(self) -> AuditHead:
        """Where the chain ends."""
        rows = self._rows or self._read()
        return AuditHead(sequence=rows.sequence, hash=rows.hash)

    def heads(self) -> dict[int, AuditHead]:
        """Return where each chain ends, by its number.

        Raises:
            IntegrityError: a chain has gone, or ends before the place where it was when the epoch was raised last.
        """
        found: dict[int, AuditHead] = {}
        for chain, epoch, chain_hash, sequence, mac in self._session.query(_HEADS):
            tag = _head_tag(self._session.mac, chain, epoch, chain_hash, sequence)
            self._session.mac.check("audit_head", tag, mac)
            found[chain] = AuditHead(sequence=sequence, hash=chain_hash)
        sealed = _read_ends((self._rows or self._read()).chains)
        if found.keys() != sealed.keys() or any(found[chain].sequence < end for chain, end in sealed.items()):
            raise IntegrityError("a chain of the audit log is missing, or was put back to what it was before")
        return found

    def raise_epoch(self, replaced: int = 0) -> int:
        """Raise the epoch by one, and return it. Every write of a key or a version needs an epoch of its own.

        Args:
            replaced: the epoch that the row had; 0 for a new one.
        """
        rows = self._rows or self._read()
        return self._raise(rows.epoch_sum + rows.epoch + 1 - replaced)

    def add_chain(self) -> None:
        """Begin another chain of the audit log."""
        ends = self._all_ends()
        chain = len(ends) + 1
        _add_head(self._session, chain, self.epoch)
        ends[chain] = 0
        self._raise(self.epoch_sum)

    def move_head(self, sequence: int, chain_hash: bytes) -> None:
        """Let the chain end with another record. A transaction that may change keys seals that it does."""
        if self._access is Access.CHANGE:
            self._all_ends()[self.chain] = sequence
            self._raise(self.epoch_sum)
        rows = self._rows or self._read()
        mac = _head_tag(self._session.mac, self.chain, rows.epoch, chain_hash, sequence)
        self._session.change(_MOVE, (rows.epoch, chain_hash, mac, sequence, self.chain))
        self._trust(_Rows(*rows[:6], self.chain, rows.epoch, chain_hash, sequence, mac, rows.epoch))

    def _raise(self, epoch_sum: int) -> int:
        """Write the instance with its next epoch, this sum, and where every chain is."""
        if self._access is not Access.CHANGE:
            raise InvalidArgument("a transaction that appends to the audit log changes no key")
        ends = self._all_ends()
        rows = self._rows or self._read()
        chains = " ".join(str(ends[chain]) for chain in sorted(ends))
        raised = rows._replace(chains=chains, epoch=rows.epoch + 1, epoch_sum=epoch_sum)
        mac = _instance_tag(self._session.mac, raised)
        self._session.change(_RAISE, (chains, raised.epoch, epoch_sum, mac))
        return self._trust(raised._replace(mac=mac)).epoch

    def _all_ends(self) -> dict[int, int]:
        """Return where each chain is in this transaction, by its number. No other one moves them meanwhile."""
        if self._ends is None:
            self._ends = {chain: head.sequence for chain, head in self.heads().items()}
        return self._ends

    def _read(self) -> _Rows:
        query = _LOCKING if self._access in (Access.APPEND, Access.CHANGE) else _QUERY
        found = self._session.query(query, (self.chain,))
        if len(found) != 1:
            raise IntegrityError("the instance row or the head of the audit log is missing")
        trusted: _Rows | None = self._session.mac.trusted
        if found[0] == trusted:
            self._rows = trusted
            return trusted
        rows = _Rows(*found[0])
        self._check(rows)
        return self._trust(rows)

    def _check(self, rows: _Rows) -> None:
        checker = self._session.mac
        checker.check("instance", _instance_tag(checker, rows), rows.mac)
        tag = _head_tag(checker, rows.chain, rows.head_epoch, rows.hash, rows.sequence)
        checker.check("audit_head", tag, rows.head_mac)
        if rows.epoch < rows.newest:
            raise IntegrityError("the keys were put back to what they were before the audit log's last record")

    def _trust(self, rows: _Rows) -> _Rows:
        self._rows = self._session.mac.trusted = rows
        return rows


def _read_ends(chains: str | None) -> dict[int, int]:
    """Return what the instance says of the chains: nothing but that there is one, until its epoch is raised."""
    return dict(enumerate(map(int, (chains or "0").split()), start=FIRST_CHAIN))


def _add_head(session: Session, chain: int, epoch: int) -> None:
    mac = _head_tag(session.mac, chain, epoch, _EMPTY, 0)
    session.change(_ADD, (chain, epoch, _EMPTY, mac, 0))


def _instance_tag(mac: RowMac, rows: _Rows) -> bytes:
    row: dict[str, Value] = {
        "chains": rows.chains,
        "created_at": rows.created_at,
        "epoch": rows.epoch,
        "epoch_sum": rows.epoch_sum,
        "instance_id": rows.identity,
        "singleton": 1,
    }
    return mac.tag("instance", row)


def _head_tag(mac: RowMac, chain: int, epoch: int, chain_hash: bytes, sequence: int) -> bytes:
    # The name is from when there was one chain: its head must not be written anew only because there may be more.
    return mac.tag("audit_head", {"epoch": epoch, "hash": chain_hash, "sequence": sequence, "singleton": chain})
