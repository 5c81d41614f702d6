"""``keyclave recover``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import click

from keyclave.cli.command import command
from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.output import counted, print_table
from keyclave.cli.session import Session

if TYPE_CHECKING:
    from keyclave import Keyclave
    from keyclave.state.records import StoredIntent

__all__ = ["recover"]

_COLUMNS = ("Change", "Step", "Key", "Name", "Backend", "Age", "Principal", "Process")


@command("recover", example="keyclave recover")
@click.option("--list", "as_list", is_flag=True, help="Show what is open, with its age and who is at it.")
def recover(session: Session, *, as_list: bool) -> int:
    """Finish or undo what an interrupted change left open.

    Creations, adoptions and rotations are undone; revocations and destructions are finished, and so is calling a
    destruction off. Migrations and their rollbacks are undone until the key is switched, and finished from then on.
    Every command does this when it starts; a change stays open while its process is alive or its backend cannot be
    reached. Exit code 1 says that something remains open. A validation period is none of that.

    Columns with --list: change, step, key id, name of the key, backend, age, principal, and the process: at work,
    with its host and id, or gone. A validation period needs none.
    """
    with session.open() as clave:
        resolved = [_Change.of(clave, intent) for intent in clave.recovered]
        remaining = [_Change.of(clave, intent) for intent in clave.recovery.open_intents()]
        waiting = [_Change.of(clave, intent) for intent in clave.recovery.waiting()]
    if as_list and not session.as_json:
        print_table(_COLUMNS, [change.row() for change in remaining + waiting])
    else:
        session.answer(
            {
                "resolved": [change.about for change in resolved],
                "open": [change.about | change.now for change in remaining],
                "waiting": [change.about | change.now for change in waiting],
            },
            *(f"Resolved: {change.text}." for change in resolved),
            *(f"Open: {change.text}, at step {change.about['step']!r}." for change in remaining),
            *(f"Waiting: {change.text}, in its validation period." for change in waiting),
            f"Unfinished: {counted(len(remaining), 'change')}." if remaining else "Nothing is open.",
        )
    return ExitCode.FAILED if remaining else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Change:
    """A change, as it is shown.

    Attributes:
        text: which change of which key.
        about: what it is, for a machine.
        now: how it stands, for a machine.
        is_waiting: whether it waits for the end of a validation period.
    """

    text: str
    about: dict[str, Any]
    now: dict[str, Any]
    is_waiting: bool

    @classmethod
    def of(cls, clave: Keyclave, intent: StoredIntent) -> Self:
        """Return how a change of an instance is shown."""
        recovery = clave.recovery
        about = {
            "operation_id": str(intent.operation_id),
            "kind": intent.kind,
            "step": intent.step,
            "key_id": str(intent.key_id),
            "key_name": recovery.key_name(intent),
            "backend_id": intent.backend_id,
            "created_at": intent.created_at.isoformat(),
            "principal": intent.principal,
        }
        now = {
            "age_seconds": int((datetime.now(UTC) - intent.created_at).total_seconds()),
            "abandoned": recovery.is_abandoned(intent),
            "process": recovery.process_at(intent),
        }
        return cls(recovery.describe(intent), about, now, recovery.is_waiting(intent))

    def row(self) -> tuple[object, ...]:
        """Return its line in a table."""
        seconds = self.now["age_seconds"]
        age = timedelta(seconds=seconds) if seconds >= 0 else "the clock went back"
        columns = ("kind", "step", "key_id", "key_name", "backend_id")
        return (*(self.about[name] for name in columns), age, self.about["principal"], self._process())

    def _process(self) -> str:
        if self.is_waiting:
            return "needs none"
        if self.now["abandoned"]:
            return "gone"
        return "at work" if self.now["process"] is None else f"at work, {self.now['process']}"
