"""I19 to I25: the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.invariants.audit import Record
from tests.invariants.evidence import Acknowledged, Evidence, invariant

_WITH_INTENT = frozenset({"KEY_GENERATION", "ADOPT", "ROTATE", "REVOKE"})
_ENDS = frozenset({"RECOVER", "PROMOTE", "ROLLBACK", "REVOKE"})


@invariant("I19")
def chained(evidence: Evidence) -> Iterator[str]:
    """Records are numbered without a gap, each follows from the one before it, and each is in its canonical form."""
    yield from evidence.now.wrong


@invariant("I20")
def continued(evidence: Evidence) -> Iterator[str]:
    """The log goes on from what it was. (There is no Merkle tree: the chain, and its sealed head, stand for it.)"""
    digests = {record.place: record.digest for record in evidence.now.records}
    for record in evidence.before.records[-1:]:
        if digests.get(record.place) != record.digest:
            yield f"record {record.place} is not what it was"


@invariant("I21")
def acknowledged_is_recorded(evidence: Evidence) -> Iterator[str]:
    """Every operation that succeeded for its caller has its record: key, version, and that it succeeded.

    A record has neither digest nor signature: that the signature is the version's, I5 and I6 say.
    """
    acknowledged = [made for made in evidence.acknowledged if made.succeeded]
    succeeded = [_about(record) for record in evidence.now.records if record.succeeded]
    for operation, key, version in {(made.operation, made.key_reference, made.version) for made in acknowledged}:
        told = sum(made[:3] == (operation, key, version) for made in acknowledged)
        if told > sum(about[:2] == (operation, key) and version in (None, about[2]) for about in succeeded):
            yield f"no record of {operation} by version {version} of key {key}"


@invariant("I22")
def one_outcome(evidence: Evidence) -> Iterator[str]:
    """Every closed change has its outcome in the log, its own or that of recovery, and no outcome is there twice."""
    records = {record.operation_id: record for record in evidence.now.records}
    if len(records) != len(evidence.now.records):
        yield "an operation has two records"
    ended = {record.key_reference for record in evidence.now.records if record.operation in _ENDS}
    intents = {row["operation_id"] for row in evidence.now.intents}
    closed = Counter(row["key_id"] for row in evidence.now.intents if row["outcome"] is not None)
    for row in evidence.now.intents:
        own = records.get(row["operation_id"])
        settled = own is not None and (own.succeeded or row["outcome"] == "undone")
        if row["outcome"] is not None and not settled and row["key_id"] not in ended:
            yield f"the {row['kind']} {row['operation_id']} ended without a record"
    for record in evidence.now.records:
        if record.operation in _WITH_INTENT and record.succeeded and record.operation_id not in intents:
            yield f"record {record.place} tells of a change that never began"
    recovered = Counter(r.key_reference for r in evidence.now.records if r.operation == "RECOVER" and r.succeeded)
    for key in recovered - closed:
        yield f"more was recovered of key {key} than was interrupted"


@invariant("I23")
def refused_is_recorded(evidence: Evidence) -> Iterator[str]:
    """What was refused, and what failed, is in the log too."""
    failed = {_about(record)[:2] for record in evidence.now.records if not record.succeeded}
    for refused in evidence.acknowledged:
        if not refused.succeeded and (refused.operation, refused.key_reference) not in failed:
            yield f"no record of the refused {refused.operation} of {refused.key_reference}"


@invariant("I24")
def references_resolve(evidence: Evidence) -> Iterator[str]:
    """The reference that the caller got leads to the record of this operation. (Proved by the chain, I19.)"""
    records = {record.operation_id: record for record in evidence.now.records}
    prefix = f"urn:keyclave:audit:{_uuid(evidence.now.instance['instance_id'])}:"
    for made in evidence.acknowledged:
        reference = made.audit_reference
        if reference is not None and not _leads_to(records, reference.removeprefix(prefix), made):
            yield f"{reference} leads to no record of {made.operation} of key {made.key_reference}"


@invariant("I25")
def nothing_pruned(evidence: Evidence) -> Iterator[str]:
    """No record is missing at the beginning. (Nothing prunes the log, so that no record is too young to go.)"""
    if evidence.now.records and evidence.now.records[0].place != 1:
        yield f"the log begins with record {evidence.now.records[0].place}"


def _about(record: Record) -> tuple[str, str, int | None]:
    return record.operation, record.key_reference, record.version


def _leads_to(records: dict[str, Record], operation_id: str, made: Acknowledged) -> bool:
    record = records.get(operation_id.replace("-", ""))
    return (
        record is not None
        and record.succeeded
        and _about(record) == (made.operation, made.key_reference, made.version)
    )


def _uuid(text: str) -> str:
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
