"""Hear what code hands to other programs: command lines, environments, the system log.

The interpreter tells it to an audit hook (PEP 578), the moment it happens and however soon the program ends. The hook
cannot be removed; it does nothing while nobody listens. What native code starts by itself is not heard.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["handed_on"]

Listener = Callable[[str, str], object]
"""Takes the place where something was handed to, and what was, as text."""

_PROGRAM, _ENVIRONMENT = "what is told to a program", "the environment"
_PLACES = {
    **dict.fromkeys(("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system"), _PROGRAM),
    "os.putenv": _ENVIRONMENT,
    "syslog.syslog": "the system log",
}
_listeners: list[Listener] = []


@contextmanager
def handed_on(listener: Listener) -> Iterator[None]:
    """Tell a function what this process hands on within the block."""
    _hook()
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@cache
def _hook() -> None:
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _listeners and event in _PLACES:
        for listener in tuple(_listeners):
            listener(_PLACES[event], repr(arguments))
