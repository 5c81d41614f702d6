"""Tables: drawn on a terminal, tab-separated lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

import click

__all__ = ["cell", "counted", "is_terminal", "print_table"]

_ROWS = 500
"""The most rows in one drawn table: its columns are as wide as its widest cells, so it is held in memory."""
_WIDEST = 10_000
_NARROWEST = 40


def is_terminal() -> bool:
    """Return whether somebody reads standard output on a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def cell(value: object) -> str:
    r"""Return a value as one line of printable text.

    >>> print(cell(None), cell("a\tb\x1b[1m"))
    - a\tb\x1b[1m
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def counted(number: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "fault"), counted(2, "fault")
    ('1 fault', '2 faults')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as they come. Without a terminal there is no header: the columns are those of the help."""
    remaining = iter(rows)
    if not is_terminal():
        for row in remaining:
            click.echo("\t".join(map(cell, row)))
        return
    page = list(islice(remaining, _ROWS))
    if not page:
        click.echo("There are none.")
    while page:
        _draw(columns, page)
        page = list(islice(remaining, _ROWS))


def _draw(columns: Sequence[str], rows: list[Sequence[object]]) -> None:
    """Draw a table. Only its last column wraps; where the rest is wider than the terminal, so are the lines."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  rich takes long to import
    from rich.console import Console  # noqa: PLC0415  as above
    from rich.table import Table  # noqa: PLC0415  as above

    cells = [tuple(map(cell, row)) for row in rows]
    *widths, last = (max(map(len, column)) for column in zip(columns, *cells, strict=True))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, width in zip(columns, widths, strict=False):
        table.add_column(name, no_wrap=True, min_width=width)
    table.add_column(columns[-1], min_width=min(last, _NARROWEST))
    for row in cells:
        table.add_row(*row)
    console = Console(markup=False, emoji=False, highlight=False)
    needed = table.__rich_measure__(console, console.options.update(max_width=_WIDEST)).minimum
    console.width = max(console.width, needed)
    console.print(table)
