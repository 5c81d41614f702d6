"""The rule for key names, applied before anything else is done with one."""

from __future__ import annotations

import re

from keyclave.errors import InvalidArgument
from keyclave.models import KEY_NAME_PATTERN

__all__ = ["name_reference", "require_name"]

_NAME = re.compile(KEY_NAME_PATTERN)


def require_name(name: object) -> None:
    """Refuse what cannot be a key name, without repeating it: it comes from outside."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidArgument(
            "not a key name",
            next_step="Use 1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.",
        )


def name_reference(name: object) -> str:
    """Return how the audit log refers to a key by the name that a caller gave."""
    return f"name:{name}" if isinstance(name, str) and _NAME.fullmatch(name) else "name:(not a key name)"
