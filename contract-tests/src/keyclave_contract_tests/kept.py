"""What a backend keeps to itself, as far as its files show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keyclave_contract_tests.bench import Bench

__all__ = ["kept"]

_SHORTEST_KEY, _SHORTEST_PIN, _LONGEST = 16, 6, 65_536
"""Bytes of a file that is looked at: what is shorter is no secret, or would be found by chance, and what is longer is
a store of many."""


def kept(bench: Bench) -> Iterator[tuple[str, bytes]]:
    """Return name and content of each file in the backend's directory, and of each that its settings name."""
    for path in bench.context().data_directory.rglob("*"):
        yield from _content(path, _SHORTEST_KEY)
    for value in getattr(bench.source, "settings", {}).values():
        if isinstance(value, str | Path):
            yield from _content(Path(value), _SHORTEST_PIN)


def _content(path: Path, shortest: int) -> Iterator[tuple[str, bytes]]:
    """Return nothing for what is no file, or of no size that is looked at."""
    if path.is_file() and path.stat().st_size <= _LONGEST:
        content = path.read_bytes().strip()
        if len(content) >= shortest:
            yield path.name, content
