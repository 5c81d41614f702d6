"""What a backend keeps to itself, as far as its files show it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.violations import expect

__all__ = ["expect_no_others", "files", "kept"]

_SHORTEST_KEY, _SHORTEST_PIN, _LONGEST = 16, 6, 65_536
"""Bytes of a file that is looked at: what is shorter is no secret, or would be found by chance, and what is longer is
a store of many."""
_OTHERS = 0o077


def kept(bench: Bench) -> Iterator[tuple[str, bytes]]:
    """Return name and content of each file in the backend's directory, and of each that its settings name."""
    for path in bench.context().data_directory.rglob("*"):
        yield from _content(path, _SHORTEST_KEY)
    for path in _named(bench):
        yield from _content(path, _SHORTEST_PIN)


def files(bench: Bench) -> frozenset[Path]:
    """Return each file below the backend's directory, and below the private ones that its settings name."""
    directories = (bench.context().data_directory, *filter(_is_private, _named(bench)))
    return frozenset(path for directory in directories for path in directory.rglob("*") if path.is_file())


def expect_no_others(bench: Bench, before: Set[Path], what: str) -> None:
    """Expect that no files are there that were not there before, apart from those that are too short for a key.

    ``what`` left them there, as the subject of a sentence.
    """
    left = [path for path in files(bench) - before if _size(path) >= _SHORTEST_KEY]
    expect(not left, f"{what} left {len(left)} files of them")


def _named(bench: Bench) -> Iterator[Path]:
    """Return what the settings name that could be a path."""
    for value in getattr(bench.source, "settings", {}).values():
        if isinstance(value, str | Path):
            yield Path(value)


def _is_private(path: Path) -> bool:
    """Return whether it is a directory that no other user may enter: what changes there, the backend changed."""
    return path.is_dir() and not path.stat().st_mode & _OTHERS


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it is gone since it was listed
        return 0


def _content(path: Path, shortest: int) -> Iterator[tuple[str, bytes]]:
    """Return nothing for what is no file, or of no size that is looked at."""
    if path.is_file() and path.stat().st_size <= _LONGEST:
        content = path.read_bytes().strip()
        if len(content) >= shortest:
            yield path.name, content
