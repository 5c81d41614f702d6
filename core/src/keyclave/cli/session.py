"""What every command works with: the settings that were named, and the way its answer is given."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

import keyclave
from keyclave.cli.output import cell
from keyclave.errors import InvalidArgument

if TYPE_CHECKING:
    from keyclave import Keyclave, Settings

__all__ = ["Session"]


class Session:
    """One run of the program.

    Attributes:
        config: the settings file that was named; ``None`` looks for one.
        principal: who works with it; ``None`` for the operating system's user.
        as_json: the answer is for a machine.
    """

    def __init__(self, config: str | None = None, principal: str | None = None) -> None:
        self.config = config
        self.principal = principal
        self.as_json = False

    @contextmanager
    def open(self) -> Iterator[Keyclave]:
        """Open the instance that the settings describe, and show its warnings while it is open."""
        from keyclave.cli.notices import notices_to_stderr  # noqa: PLC0415  logging is not needed for --help

        with (
            notices_to_stderr(as_json=self.as_json),
            keyclave.open(self.config, principal=self.principal) as clave,
        ):
            yield clave

    def settings(self) -> Settings:
        """Read the settings without acting on them."""
        from keyclave.settings import load  # noqa: PLC0415  pydantic is not needed for --help

        return load(self.config)

    def answer(self, data: Any, *lines: str) -> None:
        """Print the answer: ``data`` as JSON where that was asked for, and otherwise the lines."""
        import json  # noqa: PLC0415  not needed for --help

        if self.as_json:
            click.echo(json.dumps(data, indent=2))
        else:
            for line in lines:
                click.echo(cell(line))

    def answer_list(self, items: Iterable[Any]) -> None:
        """Print a JSON array, an item a line, as the items come: memory is bounded by one of them."""
        import json  # noqa: PLC0415  not needed for --help

        separator = "[\n"
        for item in items:
            click.echo(f"{separator}{json.dumps(item)}", nl=False)
            separator = ",\n"
        click.echo("[]" if separator == "[\n" else "\n]")

    def require_text_output(self, output: str | None) -> None:
        """Refuse to write a result to standard output, ``-``, where a JSON answer goes."""
        if self.as_json and output == "-":
            raise click.UsageError("With --json the result goes to a file: name it with -o.")

    def confirm(self, question: str, *, confirmed: bool) -> None:
        """Return if the user agrees; ask where there is somebody to ask.

        Raises:
            InvalidArgument: nobody can be asked, and ``--yes`` was not given.
            Abort: the user does not agree.
        """
        if confirmed:
            return
        if self.as_json or sys.stdin is None or not sys.stdin.isatty():
            raise InvalidArgument(
                "this cannot be undone, and needs a confirmation", next_step="Add --yes if you are sure."
            )
        click.confirm(question, abort=True, err=True)
