"""Read the settings: one TOML file and ``KEYCLAVE_…`` environment variables."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import ValidationError

from keyclave.errors import ConfigurationError
from keyclave.settings.tables import PREFIX, Settings

__all__ = ["load"]

_LIMIT = 1024 * 1024
_MESSAGES = {
    "extra_forbidden": "there is no such setting",
    "time_delta_parsing": "not a duration; write it as 90d, 24h, 30m or 10s",
}


def load(config: str | os.PathLike[str] | None = None) -> Settings:
    """Return the settings of a file and the environment.

    Args:
        config: the TOML file. ``None`` looks for ``KEYCLAVE_CONFIG``, then ``keyclave.toml`` in the working
            directory, then ``keyclave.toml`` in the user's configuration directory.

    Raises:
        ConfigurationError: a named file is missing, a file is not TOML, or a setting is wrong or unknown.
    """
    path = _find(config)
    _refuse_misspelt(tuple(os.environ))  # the names only: a traceback must not show what they hold
    outcome = _parse(path)
    if isinstance(outcome, Settings):
        outcome._source = path  # noqa: SLF001  private to settings, set once here
        return outcome
    raise ConfigurationError(outcome)


def _parse(path: Path | None) -> Settings | str:
    """Return the settings, or what is wrong. It is raised elsewhere, for this frame may hold secrets."""
    content = _read(path) if path else {}
    try:
        return Settings(**content)
    except ValidationError as error:
        return "; ".join(_describe(path, problem) for problem in error.errors(include_input=False))
    except ValueError:
        # pydantic-settings: an environment variable for a table is not JSON; its text could hold a secret.
        return "a KEYCLAVE_ environment variable cannot be parsed"


def _refuse_misspelt(variables: Iterable[str]) -> None:
    """Refuse variables that look like a setting and would be ignored.

    Others with the prefix are let pass: Kubernetes sets ``KEYCLAVE_SERVICE_HOST`` for a service of that name.
    """
    tables = Settings.model_fields
    for variable in variables:
        if not variable.upper().startswith(PREFIX):
            continue
        table = variable[len(PREFIX) :].lower().partition("__")[0]
        if table not in tables and ("__" in variable or table.startswith(tuple(f"{known}_" for known in tables))):
            raise ConfigurationError(
                f"the environment variable {variable} names no setting",
                next_step=f"Write {PREFIX}TABLE__KEY, with two underscores; tables are {', '.join(tables)}.",
            )


def _find(config: str | os.PathLike[str] | None) -> Path | None:
    named = config or os.environ.get("KEYCLAVE_CONFIG")
    if named:
        return Path(named)
    candidates = (Path("keyclave.toml"), user_config_path("keyclave") / "keyclave.toml")
    return next((path for path in candidates if path.is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    outcome = _parse_toml(_read_bytes(path))
    if isinstance(outcome, str):
        raise ConfigurationError(f"{path} {outcome}")
    return outcome


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "its name holds a NUL"
    raise ConfigurationError(
        f"{path} cannot be read: {reason}",
        next_step="Name a settings file that can be read, with --config or KEYCLAVE_CONFIG.",
    )


def _parse_toml(content: bytes) -> dict[str, Any] | str:
    """Return the tables, or what is wrong. It is raised elsewhere, for this frame may hold secrets."""
    if len(content) > _LIMIT:
        return f"cannot be read: it has more than {_LIMIT} bytes"
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        return "cannot be read: it is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        # Only the place: the text of the file could hold a secret.
        return f"is not TOML: {str(error).rpartition('(')[2].rstrip(')')}"
    except (ValueError, RecursionError):
        # Python reads no integer of more than 4300 digits.
        return "is not TOML: a number is too long, or something is nested too deeply"


def _describe(path: Path | None, problem: Any) -> str:
    """Return where a wrong value stands, and what is wrong with it; never the value."""
    place = [str(part) for part in problem["loc"]]
    variable = PREFIX + "__".join(place).upper()
    where = variable if variable in os.environ else ": ".join(filter(None, (str(path or ""), ".".join(place))))
    if problem["type"] == "extra_forbidden" and len(place) == 1:
        return f"{where}: there is no such table; there are {', '.join(Settings.model_fields)}"
    return f"{where}: {_MESSAGES.get(problem['type'], problem['msg']).removeprefix('Value error, ')}"
