"""``keyclave recover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyclave.cli.command import command
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.output import counted
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave.state.records import StoredIntent

__all__ = ["recover"]


@command("recover", example="keyclave recover")
def recover(session: Session) -> int:
    """Finish or undo what an interrupted change left open.

    Creations, adoptions and rotations are undone; revocations and destructions are finished, and so is calling a
    destruction off. Every command does this when it starts; a change stays open while its process is alive or its
    backend cannot be reached. Exit code 1 says that something remains open.
    """
    with session.open() as clave:
        resolved = clave.recovered
        remaining = clave.recovery.open_intents()
    session.answer(
        {"resolved": [_record(intent) for intent in resolved], "open": [_record(intent) for intent in remaining]},
        *(f"Resolved: {_line(intent)}." for intent in resolved),
        *(f"Open: {_line(intent)}, at step {intent.step!r}." for intent in remaining),
        f"Unfinished: {counted(len(remaining), 'change')}." if remaining else "Nothing is open.",
    )
    return ExitCode.FAILED if remaining else ExitCode.DONE


def _record(intent: StoredIntent) -> dict[str, str]:
    return {
        "operation_id": str(intent.operation_id),
        "kind": intent.kind,
        "step": intent.step,
        "key_id": str(intent.key_id),
        "backend_id": intent.backend_id,
        "created_at": intent.created_at.isoformat(),
    }


def _line(intent: StoredIntent) -> str:
    return f"{intent.kind} of key {intent.key_id} in backend {intent.backend_id!r}"
