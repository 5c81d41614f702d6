"""Text that came from a plugin or a product, made harmless to read.

It may hold terminal escapes, characters that turn the direction of writing, or megabytes. Markup is not escaped
here: that is the work of what writes HTML and XML.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from keyclave_contract_tests.results import Report

__all__ = ["LONGEST", "bounded", "counted", "line", "lines"]

LONGEST = 8_000
"""The most characters of one text that a report keeps."""
_LONGEST_LINE = 500
_NOTE = 50
"""Room for the note that a text was cut, within its length: what was cut once stays as it is."""


def line(text: object, longest: int = _LONGEST_LINE) -> str:
    r"""Return a text as one line of printable characters, cut if it is longer.

    >>> print(line("a\tb\u202ec"))
    a\tb\u202ec
    """
    return "".join(map(_visible, _cut(str(text), longest)))


def lines(text: object) -> str:
    r"""Return a text as `line` does, but with its line breaks.

    >>> print(lines("f(\n    key='\x1b')"))
    f(
        key='\x1b')
    """
    return "".join(one if one == "\n" else _visible(one) for one in _cut(str(text), LONGEST))


def counted(number: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "check"), counted(1200, "check")
    ('1 check', '1,200 checks')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def bounded(report: Report) -> Report:
    """Return the report with no text longer than `LONGEST`, and none that UTF-8 cannot hold."""
    return msgspec.convert(_mapped(msgspec.to_builtins(report), _storable), Report)


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    kept = longest - _NOTE
    return f"{text[:kept]} … ({len(text) - kept:,} more characters)"


def _storable(text: str) -> str:
    return _cut(text.encode("utf-8", "backslashreplace").decode(), LONGEST)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {change(key): _mapped(one, change) for key, one in value.items()}
        case list() | tuple():
            return [_mapped(one, change) for one in value]
        case _:
            return value
