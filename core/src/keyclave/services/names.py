"""The rules for what names a key, its version and who asks, applied before anything else is done with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from keyclave.errors import InvalidArgument, KeyclaveError
from keyclave.models import KEY_NAME_PATTERN

__all__ = [
    "key_name_of",
    "name_reference",
    "named_key",
    "naming",
    "require_name",
    "require_principal",
    "require_version",
]

_NAME = re.compile(KEY_NAME_PATTERN)
_GREATEST_VERSION = 2**31 - 1
_LONGEST_PRINCIPAL = 256


def require_name(name: object) -> None:
    """Refuse what cannot be a key name, without repeating it: it comes from outside."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidArgument(
            "not a key name",
            next_step="Use 1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
        )


def require_version(version: object) -> None:
    """Refuse what cannot be the number of a version."""
    if type(version) is not int or not 1 <= version <= _GREATEST_VERSION:
        raise InvalidArgument("not a version number", next_step=f"Use a whole number from 1 to {_GREATEST_VERSION}.")


def require_principal(principal: object) -> None:
    """Refuse what no audit record could name as the one who asked."""
    if (
        not isinstance(principal, str)
        or principal != principal.strip()
        or not 1 <= len(principal) <= _LONGEST_PRINCIPAL
        or not principal.isprintable()
    ):
        raise InvalidArgument(
            "not a principal",
            next_step=f"Use text of 1 to {_LONGEST_PRINCIPAL} characters, without control characters.",
        )


def name_reference(name: object) -> str:
    """Return how the audit log refers to a key by the name that a caller gave."""
    return f"name:{key_name_of(name) or '(not a key name)'}"


def named_key(reference: str) -> str | None:
    """Return the key name in what ``name_reference`` returned; ``None`` if there is none."""
    return key_name_of(reference.partition("name:")[2])


def key_name_of(name: object) -> str | None:
    """Return what a caller gave as the name of a key; ``None`` if it cannot be one."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


@contextmanager
def naming(operation: str, name: object) -> Iterator[None]:
    """Let the errors of the body say what was done with which key, where no audit record does."""
    try:
        yield
    except KeyclaveError as error:
        error.at(operation=operation, key_name=key_name_of(name))
        raise
