"""How a path is written in the settings of Keyclave, and of a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

__all__ = ["PathFromHome"]


def _require_named(path: object) -> object:
    """Refuse an environment variable that is set to nothing, which would stand for the working directory."""
    if path == "":
        raise ValueError("an empty path names nothing")
    return path


def _expand_home(path: Path) -> Path:
    """Put the home directory in the place of a leading ``~``, as a shell does."""
    if "\0" in str(path):
        raise ValueError("a path cannot hold a NUL")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("nobody knows the home directory that ~ stands for here") from None


PathFromHome = Annotated[Path, BeforeValidator(_require_named), AfterValidator(_expand_home)]
"""A setting that names a file or directory: it is not empty, and a leading ``~`` stands for the home directory."""
