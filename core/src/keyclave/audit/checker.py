"""Proves a log offline, record by record in bounded memory, and says which record is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

import msgspec

from keyclave.audit.chain import GENESIS, chain_hash
from keyclave.audit.protocols import AuditTable, Head, HeadLike, RowLike, Transactions, UsableKeys
from keyclave.audit.record import decode_record
from keyclave.errors import IntegrityError

__all__ = ["MAX_FAULTS", "AuditFault", "AuditReport", "ChainEnd", "FaultKind", "verify_log"]

MAX_FAULTS = 100
"""The most faults that a report lists; it counts the others."""

_PAGE = 1024
_START = Head(0, GENESIS)
_WHOLE: Mapping[int, HeadLike] = MappingProxyType({})


class FaultKind(StrEnum):
    """What is wrong.

    MISSING: records are not there. CHAIN: a record does not follow from the one before it. RECORD: its bytes are
    not a canonical record. COLUMN: a column differs from the record it was copied from, or cannot be read. TAIL:
    a chain does not end where its head says. HEAD: the head itself was changed. CHAINS: the chains are not all that
    there were. KEYS: the keys beside the log are not what was written last.
    """

    MISSING = "MISSING"
    CHAIN = "CHAIN"
    RECORD = "RECORD"
    COLUMN = "COLUMN"
    TAIL = "TAIL"
    HEAD = "HEAD"
    CHAINS = "CHAINS"
    KEYS = "KEYS"


class AuditFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    Attributes:
        chain: the chain where it was noticed; 0 if it is about none.
        sequence: the record where it was noticed; 0 if it is about no record.
        kind: see `FaultKind`.
        detail: a sentence made of numbers and the names of fields and tables only.
    """

    chain: int
    sequence: int
    kind: FaultKind
    detail: str


class ChainEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain was found to end.

    Attributes:
        chain: its number.
        sequence: the number of the last record; 0 in an empty chain.
        hash: its chain hash.
    """

    chain: int
    sequence: int
    hash: bytes


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the proof of a log found.

    Attributes:
        records: how many records were read.
        chains: where each chain ends.
        faults: the first faults, in the order of the chains.
        fault_count: how many there are.
    """

    records: int
    chains: tuple[ChainEnd, ...]
    faults: tuple[AuditFault, ...]
    fault_count: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault_count == 0


def verify_log(transactions: Transactions, *, after: Mapping[int, HeadLike] = _WHOLE) -> AuditReport:
    """Read every chain to its end, and then the keys beside the log, and report what is wrong.

    Appending may go on meanwhile: each head is compared with the last record inside one transaction.

    Args:
        transactions: the database; only ``read`` is used.
        after: for each chain a place that is known to be right; its beginning, unless told.
    """
    with transactions.read() as transaction:
        chains = transaction.audit.chains()
    proofs = [_prove_chain(transactions, chain, after.get(chain, _START)) for chain in chains]
    with transactions.read() as transaction:
        beside = _prove_chains(transaction.audit, proofs), _prove_keys(transaction.keys)
    faults = [fault for found in (*(proof.faults for proof in proofs), *beside) for fault in found]
    return AuditReport(
        records=sum(proof.records for proof in proofs),
        chains=tuple(proof.reached() for proof in proofs),
        faults=tuple(faults[:MAX_FAULTS]),
        fault_count=sum(proof.fault_count for proof in proofs) + sum(map(len, beside)),
    )


def _prove_chain(transactions: Transactions, chain: int, after: HeadLike) -> _Proof:
    proof = _Proof(chain, after)
    while not proof.ended:
        with transactions.read() as transaction:
            rows = _page(transaction.audit, proof)
        for row in rows:
            proof.row(row)
    return proof


def _prove_chains(table: AuditTable, proofs: Sequence[_Proof]) -> list[AuditFault]:
    """A head that was changed has been named, and says nothing of the others."""
    if any(fault.kind is FaultKind.HEAD for proof in proofs for fault in proof.faults):
        return []
    try:
        table.prove()
    except IntegrityError as error:
        return [AuditFault(chain=0, sequence=0, kind=FaultKind.CHAINS, detail=error.message)]
    return []


def _prove_keys(keys: UsableKeys) -> list[AuditFault]:
    try:
        keys.prove()
    except IntegrityError as error:
        return [AuditFault(chain=0, sequence=0, kind=FaultKind.KEYS, detail=error.message)]
    return []


def _page(table: AuditTable, proof: _Proof) -> Sequence[RowLike]:
    """Return the next rows; where there are none, let the proof end with the head of the same moment."""
    try:
        rows = table.rows(proof.chain, proof.sequence, _PAGE)
    except IntegrityError:
        return _readable(table, proof)
    if not rows:
        try:
            proof.end(table.head(proof.chain))
        except IntegrityError:
            proof.end(None)
    return rows


def _readable(table: AuditTable, proof: _Proof) -> Sequence[RowLike]:
    """Return the next rows up to one that cannot even be read; let the proof step over that one."""
    rows: list[RowLike] = []
    try:
        while len(rows) < _PAGE:
            rows += table.rows(proof.chain, rows[-1].sequence if rows else proof.sequence, 1)
    except IntegrityError:
        if not rows:
            proof.skip()
    return rows


class _Proof:
    """How far the proof of a chain has come."""

    def __init__(self, chain: int, after: HeadLike) -> None:
        self.chain = chain
        self.sequence = after.sequence
        self.ended = False
        self.records = 0
        self.faults: list[AuditFault] = []
        self.fault_count = 0
        self._hash: bytes | None = after.hash
        self._unreadable = 0

    def row(self, row: RowLike) -> None:
        expected = self.sequence + 1
        if row.sequence != expected:
            self.fault(expected, FaultKind.MISSING, _missing(expected, row.sequence - 1))
        elif self._hash is not None and chain_hash(self._hash, row.record) != row.hash:
            self.fault(row.sequence, FaultKind.CHAIN, "the record does not follow from the one before it")
        self._check_record(row)
        self.sequence, self._hash = row.sequence, row.hash
        self.records += 1

    def _check_record(self, row: RowLike) -> None:
        try:
            record = decode_record(row.record)
        except IntegrityError:
            self.fault(row.sequence, FaultKind.RECORD, "the bytes are not a record in its canonical form")
            return
        for column in ("operation_id", "occurred_at", "key_reference"):
            if getattr(row, column) != getattr(record, column):
                self.fault(row.sequence, FaultKind.COLUMN, f"{column} differs from the record")

    def skip(self) -> None:
        """Step over a row that cannot be read; give up when there are too many of them."""
        self.sequence += 1
        self._hash = None
        self._unreadable += 1
        self.ended = self._unreadable == MAX_FAULTS
        self.fault(self.sequence, FaultKind.COLUMN, "the row cannot be read")

    def end(self, head: HeadLike | None) -> None:
        self.ended = True
        if head is None:
            self.fault(self.sequence, FaultKind.HEAD, "the head of the chain was changed, or has gone")
        elif head.sequence != self.sequence:
            detail = f"the chain ends with record {self.sequence}, its head says {head.sequence}"
            self.fault(min(self.sequence, head.sequence) + 1, FaultKind.TAIL, detail)
        elif self._hash not in (None, head.hash):
            self.fault(self.sequence, FaultKind.TAIL, "the last record is not the one that the head names")

    def fault(self, sequence: int, kind: FaultKind, detail: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(AuditFault(chain=self.chain, sequence=sequence, kind=kind, detail=detail))

    def reached(self) -> ChainEnd:
        return ChainEnd(chain=self.chain, sequence=self.sequence, hash=self._hash or GENESIS)


def _missing(first: int, last: int) -> str:
    return f"record {first} is missing" if first == last else f"records {first} to {last} are missing"
