"""Foreign exceptions as text that holds no secret: their type and their place, never their own words."""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import TypeVar

from keyclave.errors import KeyclaveError

__all__ = ["bare", "describe"]

_LONGEST_NAME = 100
_Error = TypeVar("_Error", bound=KeyclaveError)


def describe(error: BaseException) -> str:
    """Return the type of an exception, and the file and line that raised it.

    A missing module is named too, since the name stands in the importing code.

    >>> try:
    ...     raise ValueError("the PIN is 1234")
    ... except ValueError as error:
    ...     describe(error).partition(" at ")[0]
    'ValueError'
    """
    kind = type(error).__name__[:_LONGEST_NAME]
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    what = f"{kind} for {missing}" if missing and _is_module_name(missing) else kind
    place = _place(error)
    return f"{what} at {place}" if place else what


def bare(error: _Error) -> _Error:
    """Return the error without what it was raised from and through: frames of plugins may hold keys."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _is_module_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and all(part.isidentifier() for part in text.split("."))


def _place(error: BaseException) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return _short(error.filename, error.lineno)
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<frozen importlib")
    ]
    return _short(*frames[-1]) if frames else None


def _short(filename: str, line: int | None) -> str:
    path = PurePath(filename)
    return f"{path.parent.name}/{path.name}:{line}"
