"""The reference page of the settings, from the models that read them."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from keyclave.settings import BackendSettings, Settings
from keyclave_aws.settings import AwsSettings
from keyclave_pkcs11_hsm.settings import Pkcs11Settings
from keyclave_software.settings import SoftwareSettings
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["PLUGINS", "page", "tables"]

PLUGINS: dict[str, type[BaseModel]] = {
    "aws": AwsSettings,
    "pkcs11-hsm": Pkcs11Settings,
    "software": SoftwareSettings,
}

_HEAD = """# Settings

One TOML file. `--config FILE` names it, else `KEYCLAVE_CONFIG`, else it is `keyclave.toml` in the working directory,
else `keyclave.toml` in the user's configuration directory (on Linux `~/.config/keyclave`). Unknown keys are refused.

Every value can also come from an environment variable, which then takes precedence: `KEYCLAVE_`, the table and the
key, with two underscores between them, as in `KEYCLAVE_STATE__DIRECTORY`. Lists and tables are written as JSON there.
A variable that looks like a setting and is none is refused.

In paths a leading `~` is the home directory; other relative paths start at the working directory. Durations are
`90d`, `24h`, `30m`, `10s`, or ISO 8601.

With no file at all there is one `software` backend, and a warning says so. Where no type of environment is set,
[what is detected](../how-to/detect.md) decides: production, which then refuses to start on defaults, or `local`.
"""
_TABLE_HEAD = "\n| key | type | default | meaning |\n|---|---|---|---|\n"
_SIMPLE = {
    str: "text",
    SecretStr: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    Path: "path",
    timedelta: "duration",
}


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD]
    for title, model in tables():
        parts.append(f"\n## {title}\n\n{_summary(model)}\n{_TABLE_HEAD}")
        parts += [_row(name, field) for name, field in model.model_fields.items() if _section(field) is None]
    return "".join(parts)


def tables() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield a heading for every TOML table, and the model that reads it."""
    yield from _below("", Settings)
    yield "`[backends.<id>]`", BackendSettings
    for name, model in PLUGINS.items():
        yield f'`[backends.<id>]` with `plugin = "{name}"`', model
        yield from _below("backends.<id>.", model)


def _below(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        if section := _section(field):
            yield f"`[{prefix}{name}]`", section
            yield from _below(f"{prefix}{name}.", section)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a table of its own."""
    for candidate in (field.annotation, *typing.get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return None if typing.get_origin(field.annotation) is dict else candidate
    return None


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip()


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    return f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {meaning} |\n"


def _type(annotation: Any) -> str:
    """Return what a person writes in TOML for the type."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    arguments = typing.get_args(annotation)
    if not arguments:
        return _SIMPLE[annotation]
    return _WRITTEN[typing.get_origin(annotation)](arguments)


def _either(arguments: tuple[Any, ...]) -> str:
    return " or ".join(_type(argument) for argument in arguments if argument is not types.NoneType)


_WRITTEN: dict[Any, Callable[[tuple[Any, ...]], str]] = {
    typing.Annotated: lambda arguments: _type(arguments[0]),
    typing.Literal: lambda arguments: ", ".join(f"`{value}`" for value in arguments),
    typing.Union: _either,
    types.UnionType: _either,
    tuple: lambda arguments: f"list of {_type(arguments[0])}",
    dict: lambda arguments: f"table of {_type(arguments[1])}",
}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is dict:
        return "empty"
    if field.default_factory is not None or field.default is None:
        return "see the meaning"
    return f"`{_written(field.default)}`"


def _written(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return f"[{', '.join(_quoted(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _duration(value: timedelta) -> str:
    """Return a duration in the largest unit that it is a multiple of; one day is 24 hours."""
    if value >= timedelta(days=2) and not value % timedelta(days=1):
        return f"{value // timedelta(days=1)}d"
    units = {"h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
    return next(f"{value // unit}{name}" for name, unit in units.items() if not value % unit)


def _quoted(item: object) -> str:
    return f'"{item}"'
