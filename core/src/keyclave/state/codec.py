"""Records as rows and back: each type of field has one form in the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Any, Generic, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from keyclave.errors import InvalidArgument
from keyclave.models.key import KeyStatus
from keyclave.models.levels import SecurityLevel
from keyclave.models.rotation import RotationPolicy
from keyclave.state.session import Row

__all__ = ["Codec", "from_microseconds", "to_microseconds"]

R = TypeVar("R", bound=msgspec.Struct)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Return an aware time as microseconds since 1970 UTC.

    Raises:
        InvalidArgument: it has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidArgument("a stored time needs a time zone")
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the aware UTC time so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


class _Form(NamedTuple):
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


_AS_IT_IS = _Form(_same, _same)
_FORMS: dict[Any, _Form] = {
    int: _AS_IT_IS,
    str: _Form(str, _same),
    bytes: _AS_IT_IS,
    bool: _Form(int, bool),
    UUID: _Form(lambda value: value.hex, lambda value: UUID(hex=value)),
    datetime: _Form(to_microseconds, from_microseconds),
    timedelta: _Form(
        lambda value: value // _MICROSECOND,
        lambda value: timedelta(microseconds=value),
    ),
    KeyStatus: _Form(lambda value: value.value, KeyStatus),
    SecurityLevel: _Form(lambda value: value.value, SecurityLevel),
    RotationPolicy: _Form(RotationPolicy.model_dump_json, RotationPolicy.model_validate_json),
    dict: _Form(
        lambda value: msgspec.json.encode(value, order="sorted").decode(),
        lambda value: msgspec.json.decode(value, type=dict[str, str]),
    ),
}


def _form_of(hint: Any) -> _Form:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (choice for choice in get_args(hint) if choice is not NoneType)
    if get_origin(hint) is Literal:
        return _AS_IT_IS
    return _FORMS[get_origin(hint) or hint]


class Codec(Generic[R]):
    """Turns the records of one type into rows and back.

    Args:
        record_type: the type; its fields have the names of the columns.
    """

    __slots__ = ("_forms", "_type")

    def __init__(self, record_type: type[R]) -> None:
        self._type = record_type
        self._forms = {name: _form_of(hint) for name, hint in get_type_hints(record_type).items()}

    def to_row(self, record: R) -> Row:
        """Return the columns of a record."""
        return self.columns({name: getattr(record, name) for name in self._forms})

    def columns(self, fields: dict[str, Any]) -> Row:
        """Return the columns of some fields; ``None`` is NULL."""
        return {name: None if value is None else self._forms[name].encode(value) for name, value in fields.items()}

    def to_record(self, row: Row) -> R:
        """Return the record that a row holds; it may have further columns."""
        return self._type(
            **{
                name: None if (value := row[name]) is None else form.decode(value)
                for name, form in self._forms.items()
            }
        )
