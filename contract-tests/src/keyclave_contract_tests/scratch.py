"""The directory of a run: its journal, the data of the backend, and a lock that says that the run is going on.

    <parent>/<run>/journal.jsonl    what was made
    <parent>/<run>/data             what the backend keeps on this machine
    <parent>/<run>/lock             held while the run goes on

A run that was killed leaves its directory, and `sweep` removes what the journal names, then the directory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from keyclave.plugin import KeyLabel, Record
from keyclave.plugin.files import private_directory

from keyclave_contract_tests.bench import JOURNAL, Bench
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.cleaning import clean
from keyclave_contract_tests.journal import Journal
from keyclave_contract_tests.labels import Labels, new_run
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.sources import Source

__all__ = ["Swept", "left", "run_directory", "sweep"]

_LOCK = "lock"


class Swept(Record, frozen=True, kw_only=True):
    """What was found of one earlier run.

    Attributes:
        run: its id.
        going_on: whether it has not ended, and was left alone.
        removed: how many keys its journal named as possibly there.
        leftovers: names of keys that could not be removed; its directory is kept.
    """

    run: str
    going_on: bool = False
    removed: int = 0
    leftovers: tuple[str, ...] = ()


@contextmanager
def run_directory(parent: Path, run: str) -> Iterator[Path]:
    """Make the directory of a run, and remove it at the end unless its journal says that keys may still be there.

    The directory above it goes, too, once it is empty.
    """
    directory = private_directory(private_directory(parent) / run)
    with FileLock(directory / _LOCK, timeout=0):
        try:
            yield directory
        finally:
            if not left(directory):
                shutil.rmtree(directory)
                with suppress(OSError):  # another run is there
                    parent.rmdir()


def left(directory: Path) -> tuple[KeyLabel, ...]:
    """Return the labels of the keys that the run of a directory may have left."""
    journal = Journal(directory / JOURNAL)
    journal.close()
    return journal.labels


def sweep(source: Source, parent: Path) -> tuple[Swept, ...]:
    """Remove what the runs below a directory left in the backend, except runs that are going on.

    Where there are none, the backend is opened all the same, so that wrong settings are told.
    """
    runs = sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    if not runs:
        run = new_run()
        with run_directory(parent, run) as directory:
            _bench(source, run, directory).close()
    return tuple(_swept(source, directory) for directory in runs)


def _swept(source: Source, directory: Path) -> Swept:
    run = directory.name
    try:
        with FileLock(directory / _LOCK, timeout=0):
            removed, leftovers = _cleaned(source, directory)
    except Timeout:
        return Swept(run=run, going_on=True)
    if not leftovers:
        shutil.rmtree(directory)
    return Swept(run=run, removed=removed, leftovers=leftovers)


def _cleaned(source: Source, directory: Path) -> tuple[int, tuple[str, ...]]:
    bench = _bench(source, directory.name, directory)
    try:
        named = len(bench.journal.labels)
        return named, clean(bench)
    finally:
        bench.close()


def _bench(source: Source, run: str, directory: Path) -> Bench:
    budget = BUDGETS["deep"]
    return Bench(source, budget, Labels(run), directory, Meter(budget))
