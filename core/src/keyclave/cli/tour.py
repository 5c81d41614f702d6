"""``keyclave tour``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from keyclave.cli.command import command
from keyclave.cli.files import source
from keyclave.cli.independent import find_verifier
from keyclave.cli.output import is_terminal
from keyclave.cli.session import Session
from keyclave.cli.tour_output import Printer, TerminalPrinter
from keyclave.cli.tour_steps import Tour

__all__ = ["tour"]

_TEXT = b"Keyclave signs this.\n"


@command("tour", example="keyclave tour README.md")
@click.argument("file", required=False)
def tour(session: Session, *, file: str | None) -> None:
    """See the main job done on a file, in a scratch directory.

    The file is FILE, which may be -, or a small one of its own. A key is created, the file signed, the signature
    verified by the openssl program, the key rotated, and the old signature verified again. Neither your settings nor
    your keys nor FILE are touched. Whatever fails ends the tour with an exit code that is not 0.
    """
    with tempfile.TemporaryDirectory(prefix="keyclave-tour-") as name, _signed_file(file, Path(name)) as signed:
        verifier = find_verifier()
        printer = TerminalPrinter() if is_terminal() else Printer()
        if not session.as_json:
            printer.start(signed, verifier.name)
        started = perf_counter()
        with ExitStack() as closing:
            steps = list(_do(Tour(signed, Path(name), verifier, closing), None if session.as_json else printer))
        total = _milliseconds(started)
        if session.as_json:
            session.answer({"file": file, "verifier": verifier.name, "steps": steps, "milliseconds": total})
        else:
            printer.finish(total)


def _do(tour: Tour, printer: Printer | None) -> Iterator[dict[str, Any]]:
    for number, (title, code, action) in enumerate(tour.actions(), 1):
        if printer is not None:
            printer.begin(number, title, code)
        started = perf_counter()
        result = action()
        milliseconds = _milliseconds(started)
        if printer is not None:
            printer.end(result, milliseconds)
        yield {"title": title, "code": code, "result": result, "milliseconds": milliseconds}


@contextmanager
def _signed_file(file: str | None, scratch: Path) -> Iterator[Path]:
    """Give the file to sign: the user's, a copy of standard input, or a small one."""
    if file is None:
        path = scratch / "message.txt"
        path.write_bytes(_TEXT)
        yield path
        return
    with source(file) as data:
        if file == "-":
            path = scratch / "standard-input"
            with path.open("wb") as copy:
                shutil.copyfileobj(data, copy)
        else:
            path = Path(file)
        yield path


def _milliseconds(started: float) -> float:
    return round((perf_counter() - started) * 1000, 1)
