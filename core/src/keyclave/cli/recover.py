"""``keyclave recover``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from keyclave.cli.command import command
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.output import counted, print_table
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave import Keyclave
    from keyclave.state.records import StoredIntent

__all__ = ["recover"]

_COLUMNS = ("Change", "Step", "Key", "Backend", "Age", "Principal", "Owner")


@command("recover", example="keyclave recover")
@click.option("--list", "as_list", is_flag=True, help="Show what is open, with its age and who is at it.")
def recover(session: Session, *, as_list: bool) -> int:
    """Finish or undo what an interrupted change left open.

    Creations, adoptions and rotations are undone; revocations and destructions are finished, and so is calling a
    destruction off. Migrations and their rollbacks are undone until the key is switched, and finished from then on.
    Every command does this when it starts; a change stays open while its process is alive or its backend cannot be
    reached. Exit code 1 says that something remains open. A validation period is none of that.

    Columns with --list: change, step, key, backend, age, principal, and whether its process is alive, which a
    validation period does not need.
    """
    with session.open() as clave:
        resolved = clave.recovered
        remaining = [_record(clave, intent) for intent in clave.recovery.open_intents()]
        waiting = [_record(clave, intent) for intent in clave.recovery.waiting()]
    if as_list and not session.as_json:
        rows = [_row(found, "gone" if found["abandoned"] else "at work") for found in remaining]
        print_table(_COLUMNS, rows + [_row(found, "needs none") for found in waiting])
    else:
        session.answer(
            {"resolved": [_about(intent) for intent in resolved], "open": remaining, "waiting": waiting},
            *(f"Resolved: {_line(_about(intent))}." for intent in resolved),
            *(f"Open: {_line(found)}, at step {found['step']!r}." for found in remaining),
            *(f"Waiting: {_line(found)}, in its validation period." for found in waiting),
            f"Unfinished: {counted(len(remaining), 'change')}." if remaining else "Nothing is open.",
        )
    return ExitCode.FAILED if remaining else ExitCode.DONE


def _about(intent: StoredIntent) -> dict[str, Any]:
    return {
        "operation_id": str(intent.operation_id),
        "kind": intent.kind,
        "step": intent.step,
        "key_id": str(intent.key_id),
        "backend_id": intent.backend_id,
        "created_at": intent.created_at.isoformat(),
        "principal": intent.principal,
    }


def _record(clave: Keyclave, intent: StoredIntent) -> dict[str, Any]:
    age = datetime.now(UTC) - intent.created_at
    return _about(intent) | {
        "age_seconds": int(age.total_seconds()),
        "abandoned": clave.recovery.is_abandoned(intent),
    }


def _line(found: dict[str, Any]) -> str:
    return f"{found['kind']} of key {found['key_id']} in backend {found['backend_id']!r}"


def _row(found: dict[str, Any], owner: str) -> tuple[object, ...]:
    age = timedelta(seconds=found["age_seconds"]) if found["age_seconds"] >= 0 else "the clock went back"
    return (found["kind"], found["step"], found["key_id"], found["backend_id"], age, found["principal"], owner)
