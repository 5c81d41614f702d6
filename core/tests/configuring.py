"""The settings of an instance for tests: a software backend, and rotations that take over at once."""

from __future__ import annotations

from pathlib import Path

__all__ = ["settings_of"]

_SETTINGS = """
[state]
directory = "{directory}"
{database}
[environment]
type = "local"

[environment.rotation]
validation_period = "0s"

[backends.software]
plugin = "software"
"""


def settings_of(directory: Path, *, url: str | None = None, key_file: Path | None = None) -> str:
    """Return the settings of a state directory; what is added at their end belongs to the software backend.

    Args:
        directory: of the state.
        url: of the database; ``None`` for SQLite in that directory.
        key_file: the instance key; ``None`` for one in that directory.
    """
    named = {"url": url, "key_file": key_file}
    database = "".join(f'{name} = "{value}"\n' for name, value in named.items() if value is not None)
    return _SETTINGS.format(directory=directory, database=database)
