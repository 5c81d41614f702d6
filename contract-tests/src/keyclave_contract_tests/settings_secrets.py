"""The secrets in the settings of a backend, told by their names and types, or kept where such a setting points."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["is_choice", "is_secret", "secrets_of"]

_SECRET = re.compile(r"pin|pass|secret|token|credential|private|api_?key|key_?file", re.IGNORECASE)
_PUBLIC = frozenset({"token", "token_label"})
"""Settings of PKCS#11 that name a token, which is no secret."""
_LONGEST = 4096


def secrets_of(settings: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the secrets, without line breaks at their ends; the content of a file or variable that is named.

    Examples:
        >>> secrets_of({"slot": 1, "login": {"pin": "123456"}})
        (b'123456',)
    """
    return tuple(dict.fromkeys(_secrets(settings)))


def is_secret(name: str, value: object, model: type[BaseModel]) -> bool:
    """Return whether a setting must not be shown. What is not known is secret; a path to a secret is none.

    Args:
        name: of the setting.
        value: its value.
        model: the settings model of the backend.
    """
    field = _field(name, model)
    if field is None or not isinstance(value, str | int | float) or _is_secret_type(field.annotation):
        return True
    if is_choice(name, model):
        return False
    shown = str(value)
    return any(secret in shown.encode() for secret in secrets_of({name: shown}))


def is_choice(name: str, model: type[BaseModel]) -> bool:
    """Return whether a setting is one of a few that its model lists, which are no secrets whatever it is called.

    Args:
        name: of the setting.
        model: the settings model of the backend.
    """
    field = _field(name, model)
    return field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, Enum)


def _field(name: str, model: type[BaseModel]) -> FieldInfo | None:
    fields = model.model_fields.items()
    return next((field for key, field in fields if name in (key, field.alias, field.validation_alias)), None)


def _is_secret_type(annotation: object) -> bool:
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, SecretStr | SecretBytes | Secret):
        return True
    return any(map(_is_secret_type, get_args(annotation)))


def _secrets(settings: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, SecretStr | SecretBytes):
            yield _bytes(value.get_secret_value())
        elif _SECRET.search(name) and name not in _PUBLIC:
            yield from _of(name, value)


def _of(name: str, value: object) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif name.endswith("_variable"):
        if content := os.environ.get(str(value)):
            yield _bytes(content)
    elif isinstance(value, str | Path):
        file = Path(value).expanduser()
        yield _content(file) if _is_file(file) else _bytes(str(value))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a passphrase can be anything but the name of a file
        return False


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST).strip(b"\r\n")


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
