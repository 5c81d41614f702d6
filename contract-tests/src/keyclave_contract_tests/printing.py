"""Collect what is printed, by Python or past it: native libraries know nothing of `sys.stdout`."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

__all__ = ["printed"]

_STANDARD = (1, 2)
"""The descriptors of standard output and error."""


@contextmanager
def printed(note: Callable[[str | bytes], object]) -> Iterator[None]:
    """Give a function what is printed within the block, once it has ended."""
    text = io.StringIO()
    with tempfile.TemporaryFile() as content:
        with _into(content.fileno()), redirect_stdout(text), redirect_stderr(text):
            yield
        content.seek(0)
        note(content.read())
    note(text.getvalue())


@contextmanager
def _into(file: int) -> Iterator[None]:
    """Let what writes to the standard descriptors write to a file within the block."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = {number: os.dup(number) for number in _STANDARD}
    try:
        for number in kept:
            os.dup2(file, number)
        yield
    finally:
        for number, original in kept.items():
            os.dup2(original, number)
            os.close(original)
