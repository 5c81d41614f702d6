"""``keyclave migrate list``, and how plans and migrations are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from keyclave.cli.command import command
from keyclave.cli.output import counted, is_terminal, print_table
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from uuid import UUID

    from keyclave.models import KeyMigrationRecord, MigrationApproval, MigrationPlan

__all__ = ["list_migrations", "show", "show_migrations", "show_plan", "told"]

_PLANNED = ("Key", "Version", "From", "How", "Why")
_MIGRATIONS = (
    "Migration",
    "Key",
    "Version",
    "How",
    "From",
    "To",
    "Status",
    "Source kept until",
    "Source gone",
    "Note",
)
_PLANS = ("Plan", "Made", "By", "To", "Keys", "Possible", "Approved by")


@command("list", example="keyclave migrate list")
@click.option("--plans", is_flag=True, help="List the plans, not the migrations.")
def list_migrations(session: Session, *, plans: bool) -> None:
    """List all migrations, the oldest first.

    Columns: id, key, version, how, from, to, status, until when the source is kept, when it is gone, and a note: why
    it failed, is not ended, or was rolled back. With --plans: id, time, principal, destination, versions, how many of
    them can go, and who approved it.
    """
    with session.open() as clave:
        if plans:
            found = [(each, clave.migration.approvals(each.plan_id)) for each in clave.migration.plans()]
        records = () if plans else clave.migration.list()
    if not plans:
        show_migrations(session, records)
    elif session.as_json:
        session.answer([_as_json(each, approvals) for each, approvals in found])
    else:
        print_table(
            _PLANS,
            (
                (
                    *(each.plan_id, each.created_at, each.requested_by, each.destination_backend_id),
                    *(
                        len(each.versions),
                        len(each.possible),
                        ", ".join(dict.fromkeys(a.approved_by for a in approvals)),
                    ),
                )
                for each, approvals in found
            ),
        )


@command("show", example="keyclave migrate show 0d9f3c1e-5a34-4c47-9d0b-6d6f3c6f2a11")
@click.argument("plan", type=click.UUID, metavar="PLAN")
def show(session: Session, *, plan: UUID) -> None:
    """Show a plan: read it before you approve it.

    It tells who made it, by which exception if there is one, of each version what `keyclave migrate plan` told, and
    who has approved it.
    """
    with session.open() as clave:
        found = clave.migration.get_plan(plan)
        approvals = clave.migration.approvals(plan)
    show_plan(session, found, approvals)


def show_migrations(session: Session, records: Iterable[KeyMigrationRecord]) -> None:
    """Print migrations."""
    if session.as_json:
        session.answer([record.model_dump(mode="json") for record in records])
    else:
        print_table(_MIGRATIONS, map(_line, records))


def _line(record: KeyMigrationRecord) -> tuple[object, ...]:
    return (
        record.migration_id,
        record.key_name,
        record.key_version,
        record.strategy.value,
        record.source_backend_id,
        record.destination_backend_id,
        record.status.value,
        None if record.status == "ROLLED_BACK" else record.source_retained_until,
        record.retired_at,
        record.error_message or record.rollback_reason,
    )


def _as_json(plan: MigrationPlan, approvals: Sequence[MigrationApproval]) -> dict[str, object]:
    return {**plan.model_dump(mode="json"), "approvals": [each.model_dump(mode="json") for each in approvals]}


def show_plan(session: Session, plan: MigrationPlan, approvals: Sequence[MigrationApproval]) -> None:
    """Print a plan, who approved it, and how it goes on."""
    if session.as_json:
        session.answer(_as_json(plan, approvals))
        return
    session.answer(
        None,
        f"Plan {plan.plan_id}: {len(plan.possible)} of {counted(len(plan.versions), 'version')} can go to backend"
        f" {plan.destination_backend_id!r} ({plan.destination_level.value}).",
    )
    made = f"Made by {plan.requested_by} at {plan.created_at:%Y-%m-%d %H:%M} UTC"
    exception = "" if plan.exception is None else f", with an exception: {plan.exception}"
    session.answer(None, f"{made}{exception}.")
    rows = ((p.key_name, p.version, p.source_backend_id, p.strategy or "-", p.reason) for p in plan.versions)
    print_table(_PLANNED, rows)
    notes = {f"{p.key_name}: {text}" for p in plan.possible for text in (p.downgrade, *p.consequences) if text}
    session.answer(None, *sorted(notes))
    session.answer(None, *map(_agreed, approvals))
    if plan.possible:
        session.answer(None, _next_step(plan, approvals))


def _agreed(approval: MigrationApproval) -> str:
    until = f"{approval.approved_at:%Y-%m-%d %H:%M} UTC, until {approval.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"Approved by {approval.approved_by} at {until}: {approval.approval_justification}"


def _next_step(plan: MigrationPlan, approvals: Sequence[MigrationApproval]) -> str:
    if any(each.consumed_at is not None for each in approvals):
        return "It was run: `keyclave migrate list` shows what became of it, and running it again goes on."
    if any(datetime.now(UTC) < each.expires_at for each in approvals):
        return f"Carry it out: keyclave migrate run {plan.plan_id}"
    return f"Somebody else approves it: keyclave migrate approve {plan.plan_id} --justification TEXT"


@contextmanager
def told(session: Session) -> Iterator[Callable[[KeyMigrationRecord, int, int], None] | None]:
    """Yield what tells somebody at a terminal how far a run is; ``None`` where nobody reads it."""
    if session.as_json or not is_terminal():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415  rich takes long to import
    from rich.progress import Progress  # noqa: PLC0415  as above

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Migrating", total=None)
        yield lambda record, done, total: progress.update(
            task, description=f"Migrating {record.key_name}", completed=done, total=total
        )
