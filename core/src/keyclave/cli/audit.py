"""``keyclave audit list`` and ``verify``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from keyclave.cli.command import command, group
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.output import counted, print_table
from keyclave.cli.session import Session
from keyclave.errors import InvalidArgument

if TYPE_CHECKING:
    from keyclave import CryptographicOperation
    from keyclave.audit.checker import AuditFault, AuditReport
    from keyclave.models import OperationType

__all__ = ["audit"]

_TIMES = click.DateTime(
    ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
)
_COLUMNS = ("Time", "Operation", "Key", "Version", "Status", "Principal", "Backend", "ms", "Error")


@command("list", example="keyclave audit list --key release --operation SIGN")
@click.option("--key", metavar="NAME", help="Only operations on this key.")
@click.option("--operation", metavar="TYPE", help="Only operations of this type, such as SIGN.")
@click.option(
    "--since", type=_TIMES, metavar="TIME", help="Only from this time on, UTC: 2026-01-31, or 2026-01-31T12:00:00."
)
@click.option("--until", type=_TIMES, metavar="TIME", help="Only before this time, in the same form.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Only the last so many.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many there are.")
def list_operations(
    session: Session,
    *,
    key: str | None,
    operation: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    everything: bool,
) -> None:
    """List operations, the latest last.

    Columns: time (UTC), operation, key id, version, status, principal, backend, milliseconds and error.
    """
    operation_type = None if operation is None else _operation_type(operation)
    with session.open() as clave:
        records: Iterable[CryptographicOperation] = clave.audit.records(
            key_reference=None if key is None else str(clave.keys.get(key).key_id),
            operation_type=operation_type,
            since=_aware(since),
            until=_aware(until),
        )
        if not everything:
            records = deque(records, maxlen=limit)
        if session.as_json:
            session.answer_list(record.model_dump(mode="json") for record in records)
        else:
            print_table(_COLUMNS, map(_line, records))


def _line(record: CryptographicOperation) -> tuple[object, ...]:
    return (
        record.timestamp,
        record.operation_type.value,
        record.key_handle_reference,
        record.key_version,
        record.status.value,
        record.requesting_principal,
        record.backend_id,
        None if record.duration is None else f"{record.duration.total_seconds() * 1000:.1f}",
        record.error_message,
    )


def _operation_type(name: str) -> OperationType:
    from keyclave.models import OperationType  # noqa: PLC0415  pydantic is not needed for --help

    if name.upper() not in OperationType.__members__:
        raise InvalidArgument(
            f"unknown type of operation {name!r}", next_step=f"Use one of {', '.join(OperationType)}."
        )
    return OperationType(name.upper())


def _aware(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


@command("verify", example="keyclave audit verify")
def verify(session: Session) -> int:
    """Prove that no record and no key was changed or removed.

    Nor put in, or put back to what it was before. Records that are wrong are named. Exit code 7 says that something
    is wrong.
    """
    with session.open() as clave:
        report = clave.audit.verify()
    faults = [
        {"chain": f.chain, "sequence": f.sequence, "kind": f.kind.value, "detail": f.detail} for f in report.faults
    ]
    session.answer(
        {
            "ok": report.ok,
            "records": report.records,
            "chains": [{"chain": e.chain, "sequence": e.sequence, "hash": e.hash.hex()} for e in report.chains],
            "fault_count": report.fault_count,
            "faults": faults,
        },
        *(f"{_place(fault)}: {fault.kind.value}: {fault.detail}." for fault in report.faults),
        *(_whole(report) if report.ok else (f"{_records(report)}, {counted(report.fault_count, 'fault')}.",)),
    )
    return ExitCode.DONE if report.ok else ExitCode.INTEGRITY


def _whole(report: AuditReport) -> Iterator[str]:
    if len(report.chains) == 1:
        yield f"{_records(report)}, the chain is whole; its last hash is {report.chains[0].hash.hex()}."
        return
    yield f"{_records(report)}, {counted(len(report.chains), 'chain')}, each whole."
    for end in report.chains:
        yield f"Chain {end.chain}: {counted(end.sequence, 'record')}; its last hash is {end.hash.hex()}."


def _records(report: AuditReport) -> str:
    return counted(report.records, "record")


def _place(fault: AuditFault) -> str:
    if not fault.sequence:
        return f"Chain {fault.chain}" if fault.chain else "State"
    return f"Record {fault.sequence}" if fault.chain == 1 else f"Record {fault.sequence} of chain {fault.chain}"


audit = group("audit", "Read the audit log, and prove it.", list_operations, verify)
