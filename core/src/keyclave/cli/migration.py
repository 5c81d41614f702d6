"""``keyclave migrate``: let keys go from one backend to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyclave.cli.command import command, group
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.migration_view import list_migrations, show, show_migrations, show_plan, told
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["migrate"]

_migration = click.argument("migration", type=click.UUID)
_plan = click.argument("plan", type=click.UUID, metavar="PLAN")


@command("plan", example="keyclave migrate plan release nightly --to hsm")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--to", "destination", metavar="ID", required=True, help="The backend that the keys are to go to.")
@click.option("--exception", metavar="REASON", help="Why a key may go to a lower level than it has.")
def plan(session: Session, *, names: tuple[str, ...], destination: str, exception: str | None) -> None:
    """Find out how keys would go to another backend.

    Nothing is changed in a backend. The plan says of each version whether the key itself goes (WRAPPED), a new key
    takes over (REKEYED), or neither, and why. Columns: key, version, backend, how, and why.
    """
    with session.open() as clave:
        made = clave.migration.plan(names, destination, exception=exception)
    show_plan(session, made, ())


@command(
    "approve", example='keyclave migrate approve 0d9f3c1e-5a34-4c47-9d0b-6d6f3c6f2a11 --justification "reviewed"'
)
@_plan
@click.option("--justification", required=True, metavar="TEXT", help="Why.")
def approve(session: Session, *, plan: UUID, justification: str) -> None:
    """Agree to a plan that somebody else made.

    Read it first, with `keyclave migrate show`. The approval is of the plan as it is, is used by one run, and expires
    after 24 hours.
    """
    with session.open() as clave:
        approval = clave.migration.approve(plan, justification)
    session.answer(
        approval.model_dump(mode="json"),
        f"Plan {plan} is approved by {approval.approved_by} until {approval.expires_at:%Y-%m-%d %H:%M} UTC.",
        f"Carry it out: keyclave migrate run {plan}",
    )


@command("run", example="keyclave migrate run 0d9f3c1e-5a34-4c47-9d0b-6d6f3c6f2a11")
@_plan
def run(session: Session, *, plan: UUID) -> int:
    """Carry an approved plan out.

    Applications keep using the keys by their names meanwhile. What fails with one key leaves the others, and what
    was interrupted goes on when the plan is run again. Exit code 1 says that not all of it is completed.
    """
    with session.open() as clave, told(session) as progress:
        records = clave.migration.run(plan, progress)
    show_migrations(session, records)
    if not session.as_json and (waiting := sum(record.status == "IN_PROGRESS" for record in records)):
        click.echo(f"{waiting} of {len(records)} not ended: run the plan again to go on with it.", err=True)
    return ExitCode.DONE if all(record.status == "COMPLETED" for record in records) else ExitCode.FAILED


@command("verify", example="keyclave migrate verify 7c3be1f0-23f4-4b8a-8d5e-0a5f4be1c9d2")
@_migration
def verify(session: Session, *, migration: UUID) -> None:
    """Prove a migration again, at any later time.

    The stored proof is checked, and the keys that still exist are looked at. Exit code 7 says that it does not hold.
    """
    with session.open() as clave:
        found = clave.migration.verify(migration)
    session.answer(
        {"migration_id": str(migration), "looks": list(found.looks)},
        f"Migration {migration} of {found.migration.key_name!r} holds:",
        *(f"  {look}" for look in found.looks),
    )


@command(
    "rollback",
    example='keyclave migrate rollback 7c3be1f0-23f4-4b8a-8d5e-0a5f4be1c9d2 --reason "partners cannot reach it"',
)
@_migration
@click.option("--reason", required=True, help="Why.")
def rollback(session: Session, *, migration: UUID, reason: str) -> None:
    """Let the source keep the key again.

    The key is destroyed at the destination, which must list it no more. It is possible until the source is retired.
    """
    with session.open() as clave:
        record = clave.migration.rollback(migration, reason)
    session.answer(
        record.model_dump(mode="json"),
        f"The migration of {record.key_name!r} is rolled back: backend {record.source_backend_id!r} keeps it.",
        f"Backend {record.destination_backend_id!r} lists it no more; it is gone as of"
        f" {record.destination_gone_at:%Y-%m-%d %H:%M} UTC.",
    )


@command("retire", example="keyclave migrate retire 7c3be1f0-23f4-4b8a-8d5e-0a5f4be1c9d2")
@_migration
@click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal, and with --json.")
def retire(session: Session, *, migration: UUID, yes: bool) -> None:
    """Destroy the key at the source, for good.

    It is possible 30 days after the migration at the earliest; from then on there is no rollback. A confirmation is
    asked for.
    """
    session.confirm(f"Destroy what migration {migration} left at its source? This cannot be undone.", confirmed=yes)
    with session.open() as clave:
        name = next((r.key_name for r in clave.migration.list() if r.migration_id == migration), "")
        record = clave.migration.retire(migration, confirm=name)
    session.answer(
        record.model_dump(mode="json"),
        f"Backend {record.source_backend_id!r} keeps {record.key_name!r} no more; it is gone as of"
        f" {record.retired_at:%Y-%m-%d %H:%M} UTC.",
    )


migrate = group(
    "migrate",
    "Let keys go from one backend to another.",
    *(plan, show, approve, run, verify, rollback, retire, list_migrations),
)
