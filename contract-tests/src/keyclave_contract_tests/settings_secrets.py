"""The secrets in the settings of a backend: what its name says to be one, and what stands in a file named as one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretBytes, SecretStr

__all__ = ["secrets_of"]

_SECRET = re.compile(r"pin|pass|secret|token|credential|private|api_?key|key_?file", re.IGNORECASE)
_PUBLIC = frozenset({"token", "token_label"})
"""Settings of PKCS#11 that name a token, which is no secret."""
_LONGEST = 4096


def secrets_of(settings: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the secrets, without line breaks at their ends; of a file that its settings name, the content.

    Examples:
        >>> secrets_of({"slot": 1, "login": {"pin": "123456"}})
        (b'123456',)
    """
    return tuple(dict.fromkeys(_secrets(settings)))


def _secrets(settings: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, SecretStr | SecretBytes):
            yield _bytes(value.get_secret_value())
        elif _SECRET.search(name) and name not in _PUBLIC and isinstance(value, str | bytes | Path):
            yield _content(Path(value).expanduser()) if _names_a_file(value) else _bytes(value)


def _names_a_file(value: str | bytes | Path) -> bool:
    try:
        return not isinstance(value, bytes) and Path(value).expanduser().is_file()
    except (OSError, ValueError):
        return False


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST).strip(b"\r\n")


def _bytes(value: str | bytes | Path) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
