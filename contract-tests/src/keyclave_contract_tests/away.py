"""Take the directory of a backend away, and give it back: the one fault that can be had on every machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.violations import Unsupported, Violation

__all__ = ["taken_away"]


@contextmanager
def taken_away(bench: Bench) -> Iterator[None]:
    """Let the directory of the backend be missing within the block.

    Raises:
        Unsupported: the backend keeps nothing there.
        Violation: the backend made the directory anew.
    """
    directory = bench.context().data_directory
    if not directory.exists():
        raise Unsupported("check_health", "the backend keeps nothing in its directory that could be missing")
    elsewhere = directory.with_name(f"{directory.name}-elsewhere")
    directory.rename(elsewhere)
    try:
        yield
    finally:
        anew = directory.exists()
        if anew:
            shutil.rmtree(directory)
        elsewhere.rename(directory)
    if anew:
        raise Violation("check_health made the directory of the backend anew when it was missing")
