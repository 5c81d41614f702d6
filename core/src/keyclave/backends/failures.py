"""What escapes from a plugin, made harmless.

Foreign exceptions become text that holds no secret: their type and their place, never their own words. Errors of
Keyclave are made anew, from what they may say and nothing else.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Any

from keyclave import errors
from keyclave.errors import KeyclaveError

__all__ = ["bare", "describe", "type_name"]

_LONGEST_NAME = 100
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]
"""As the interpreter knows it: a class cannot answer in its place."""
_SYNTAX = frozenset({SyntaxError, IndentationError, TabError})
_CORES_OWN = frozenset({errors.AuditUnavailable, errors.StateUnavailable})
"""They say of log and state what only the core knows: a plugin's would be taken for it, and not be recorded."""
_KINDS = frozenset(getattr(errors, name) for name in errors.__all__) - _CORES_OWN
_SAID: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("operation", "backend_id", "key_name", "next_step", "provider_reference"), (str,)),
    "retryable": (bool,),
    "retry_after": (int, float),
    "attempts_left": (int,),
}
"""What an error of Keyclave may carry beside its message, with the types that it may have."""


def describe(error: BaseException) -> str:
    """Return the type of an exception, and the file and line that raised it.

    A missing module is named too, since the name stands in the importing code.

    >>> try:
    ...     raise ValueError("the PIN is 1234")
    ... except ValueError as error:
    ...     describe(error).partition(" at ")[0]
    'ValueError'
    """
    kind = type_name(error)
    missing = error.name if type(error) is ModuleNotFoundError else None
    what = f"{kind} for {missing}" if isinstance(missing, str) and _is_module_name(missing) else kind
    try:
        place = _place(error)
    except Exception:  # a file name that is none
        place = None
    return f"{what} at {place}" if place else what


def type_name(value: object) -> str:
    """Return the name of a value's type, if it can be shown.

    >>> type_name(b"")
    'bytes'
    """
    name: str = type.__dict__["__name__"].__get__(type(value))  # a metaclass cannot answer in its place
    return name[:_LONGEST_NAME] if name.isprintable() else "a type whose name cannot be shown"


def bare(error: KeyclaveError) -> KeyclaveError:
    """Return an error of Keyclave's own class that says the same.

    What it was raised from and through stays behind, since frames of plugins may hold keys, and so do the class, the
    notes and the attributes that a plugin gave it.
    """
    kind = next(cls for cls in type(error).__mro__ if cls in _KINDS)
    try:
        said: dict[str, Any] = dict(vars(error))
        message = said.get("message")
    except Exception:  # a plugin's own class
        said, message = {}, None
    again: KeyclaveError = kind(message if type(message) is str else "the plugin does not say why")
    again.__dict__.update({name: value for name, value in said.items() if type(value) in _SAID.get(name, ())})
    return again


def _is_module_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and all(part.isidentifier() for part in text.split("."))


def _place(error: BaseException) -> str | None:
    if type(error) in _SYNTAX and isinstance(error, SyntaxError) and error.filename:
        return _short(error.filename, error.lineno)
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(_TRACEBACK.__get__(error))
        if not frame.f_code.co_filename.startswith("<frozen importlib")
    ]
    return _short(*frames[-1]) if frames else None


def _short(filename: str, line: int | None) -> str | None:
    path = PurePath(filename)
    place = f"{path.parent.name}/{path.name}:{line}"
    return place if place.isprintable() else None
