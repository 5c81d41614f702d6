"""Write the package: every file of the template, with the names filled in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from keyclave.errors import InvalidArgument

__all__ = ["rendered", "write"]

_SUFFIX = ".in"
"""Files of the template end with it, so that no tool takes them for what they will be."""
_DOT, _PACKAGE = "dot-", "_package_"


def rendered(names: Mapping[str, str]) -> dict[str, str]:
    """Return the files of the package: path, with ``/``, and content."""
    template = files("keyclave.cli.scaffold") / "template"
    return {
        _path(path, names): Template(file.read_text(encoding="utf-8")).substitute(names)
        for path, file in sorted(_walk(template, PurePosixPath()))
    }


def write(directory: Path, names: Mapping[str, str]) -> tuple[str, ...]:
    """Write the package into a directory that is not there yet; return the paths of its files.

    Raises:
        InvalidArgument: there is something of that name, or it cannot be made.
        OSError: a file cannot be written. Nothing is left.
    """
    content = rendered(names)
    _make(directory)
    try:
        for path, text in content.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return tuple(content)


def _make(directory: Path) -> None:
    try:
        directory.mkdir()
    except FileExistsError:
        problem = "exists, and nothing is overwritten"
    except OSError as error:
        problem = f"cannot be made: {error.strerror}"
    else:
        return
    raise InvalidArgument(f"{directory} {problem}", next_step="Name another directory with --directory.")


def _walk(place: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in place.iterdir():
        if entry.is_dir():
            yield from _walk(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name, entry


def _path(path: PurePosixPath, names: Mapping[str, str]) -> str:
    parts = (names["package"] if part == _PACKAGE else part for part in path.parts)
    dotted = (f".{part.removeprefix(_DOT)}" if part.startswith(_DOT) else part for part in parts)
    return "/".join(dotted).removesuffix(_SUFFIX)
