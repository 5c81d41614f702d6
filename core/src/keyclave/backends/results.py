"""Check that what a hook returned is the record that its specification names, in every field.

A record is not checked when it is made, so a plugin may return one whose fields are of any type.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from types import NoneType
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from keyclave.backends.failures import type_name
from keyclave.errors import KeyclaveError
from keyclave.models import levels
from keyclave.plugin import records
from keyclave.plugin.records import Record

__all__ = ["WrongResult", "answered", "checked", "unwrap"]

T = TypeVar("T")
_TYPES = [thing for module in (records, levels) for thing in vars(module).values() if isinstance(thing, type)]
_RECORDS = frozenset(thing for thing in _TYPES if issubclass(thing, Record))
_PLAIN = frozenset({NoneType, bool, int, float, bytes, UUID, *(t for t in _TYPES if issubclass(t, Enum))})


class WrongResult(Exception):  # never leaves this package
    """What a hook returned is not what its specification says; the message says why, and holds no value."""


def checked(result: object, due: type[T]) -> T:
    """Return ``result`` if it is exactly a ``due``, with fields of the right types all the way down.

    Raises:
        WrongResult: it is something else.
    """
    if type(result) is not due:
        raise WrongResult(f"it returned {type_name(result)} where {due.__name__} is due")
    if due is NoneType:
        return result
    try:
        converted = msgspec.convert(_plain(result), due)
        same = converted == result
    except msgspec.ValidationError as error:
        field = str(error).rpartition(" - at ")[2].strip("`")
        problem = f"it returned a {due.__name__} whose {field} has the wrong type"
    except Exception as error:  # a foreign object in a field, or text that cannot be written
        problem = f"it returned a {due.__name__} that cannot be read ({type_name(error)})"
    else:
        if same:
            return converted
        problem = f"it returned a {due.__name__} with a field of the wrong type"
    raise WrongResult(problem)


def _plain(value: object) -> Any:
    """Return records as dicts, so that msgspec looks at every field again.

    Every value is of exactly its type: a class of the plugin's own could behave in any way, and later too.
    """
    kind = type(value)
    if isinstance(value, Record) and kind in _RECORDS:
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple) and kind is tuple:
        return tuple(_plain(item) for item in value)
    if isinstance(value, datetime) and kind is datetime and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, str) and kind is str:
        value.encode()
        return value
    if kind in _PLAIN:
        return value
    raise TypeError


def answered(result: object, due: type[T], field: str) -> T:
    """Return ``result`` if it is a ``due`` with bytes in ``field``: `checked` for the hooks that must be fast.

    Raises:
        WrongResult: it is something else.
    """
    if type(result) is not due:
        raise WrongResult(f"it returned {type_name(result)} where {due.__name__} is due")
    reference = getattr(result, "provider_reference", None)
    if type(getattr(result, field)) is not bytes or not (reference is None or type(reference) is str):
        raise WrongResult(f"it returned a {due.__name__} with a field of the wrong type")
    return result


def unwrap(outcome: T | KeyclaveError) -> T:
    """Return the result, or raise the error."""
    if isinstance(outcome, KeyclaveError):
        raise outcome
    return outcome
