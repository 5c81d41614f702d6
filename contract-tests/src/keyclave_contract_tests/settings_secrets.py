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
        elif _SECRET.search(name) and name not in _PUBLIC:
            yield from _of(value)


def _of(value: object) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
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
