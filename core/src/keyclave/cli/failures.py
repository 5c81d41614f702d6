"""What the user is told of an error: a message, a next step and an exit code, never a traceback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click

from keyclave.cli.exit_codes import ExitCode, exit_code_of
from keyclave.cli.output import cell
from keyclave.errors import KeyclaveError

__all__ = ["Failure", "failure_of"]

_INTERRUPTED = "Run `keyclave recover`: if a key was being changed, it finishes or undoes that."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error, as it is shown.

    Attributes:
        code: the exit code.
        kind: the class of the error.
        message: what happened, without secrets.
        next_step: what to do next; ``None`` if there is nothing to do.
        provider_reference: what the provider calls the call that failed; ``None`` if it said nothing.
        context: more for a machine.
    """

    code: int
    kind: str
    message: str
    next_step: str | None
    provider_reference: str | None = None
    context: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return one line of JSON."""
        import json  # noqa: PLC0415  not needed for --help

        error = {"type": self.kind, "message": self.message, "exit_code": int(self.code), "next_step": self.next_step}
        return json.dumps({"error": error | self.context})

    def as_text(self) -> str:
        """Return one to three lines."""
        lines = [f"Error: {cell(self.message)}"]
        if self.next_step is not None:
            lines.append(f"Next: {cell(self.next_step)}")
        if self.provider_reference is not None:
            lines.append(f"The provider's reference: {cell(self.provider_reference)}")
        return "\n".join(lines)


def failure_of(error: BaseException, *, for_json: bool) -> Failure:
    """Return how an error is shown.

    Args:
        error: what ended the run.
        for_json: backend and key are shown on their own, and need not be in the message too.
    """
    match error:
        case KeyclaveError():
            return _of_keyclave(error, error.message if for_json else str(error))
        case click.Abort() | KeyboardInterrupt():
            return Failure(
                code=ExitCode.INTERRUPTED,
                kind="Interrupted",
                message="the run was interrupted",
                next_step=_INTERRUPTED,
            )
        case click.ClickException():
            path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "keyclave"
            return Failure(
                code=error.exit_code,
                kind="UsageError",
                message=error.format_message(),
                next_step=f"Run `{path} --help`.",
            )
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return Failure(
                code=ExitCode.FAILED,
                kind="OSError",
                message=f"{where}{error.strerror or type(error).__name__}",
                next_step="Check the file, its disk and its permissions.",
            )
    return _of_defect(error)


def _of_keyclave(error: KeyclaveError, message: str) -> Failure:
    return Failure(
        code=exit_code_of(error),
        kind=type(error).__name__,
        message=message,
        next_step=error.next_step,
        provider_reference=error.provider_reference,
        context={
            "operation": error.operation,
            "backend_id": error.backend_id,
            "key_name": error.key_name,
            "retryable": error.retryable,
            "provider_reference": error.provider_reference,
        },
    )


def _of_defect(error: BaseException) -> Failure:
    """An error that nobody foresaw. Its text is not shown: it could hold a secret."""
    import traceback  # noqa: PLC0415  not needed for --help

    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return Failure(
        code=ExitCode.FAILED,
        kind="Defect",
        message=f"unexpected {type(error).__name__} at {frame.f_globals.get('__name__')}:{line}",
        next_step="This is a defect of Keyclave or of a plugin: report that line and `keyclave --version`.",
    )
