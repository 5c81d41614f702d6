"""How the tour is printed: in colour on a terminal, as plain text anywhere else."""

from __future__ import annotations

from pathlib import Path

import click

from keyclave.cli.output import cell

__all__ = ["Printer", "TerminalPrinter"]


class Printer:
    """Plain text."""

    def start(self, file: Path, verifier: str) -> None:
        """Say what is about to happen."""
        self._line("bold", f"The main job of Keyclave, on {file.name}")
        self._line("", f"Signatures are also verified by {verifier}.")

    def begin(self, number: int, title: str, code: str) -> None:
        """Announce a step."""
        self._line("", "")
        self._line("bold cyan", f"{number}. {title}")
        self._line("dim", f"   {code if code.startswith('$') else f'>>> {code}'}")

    def end(self, result: str, milliseconds: float) -> None:
        """Say what came of it."""
        self._line("green", f"   {result} ({milliseconds:.1f} ms)")

    def finish(self, milliseconds: float) -> None:
        """Say that all of it was done."""
        self._line("", "")
        self._line("bold green", f"All steps done in {milliseconds:.0f} ms; the scratch directory is removed.")

    def _line(self, style: str, text: str) -> None:
        click.echo(cell(text) if text else "")


class TerminalPrinter(Printer):
    """The same with rich."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  rich takes long to import
        from rich.text import Text  # noqa: PLC0415  as above

        self._console = Console(highlight=False, soft_wrap=True)
        self._text = Text

    def _line(self, style: str, text: str) -> None:
        self._console.print(self._text(cell(text) if text else "", style=style))
