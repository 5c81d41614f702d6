"""Interrupt operations everywhere, and print how often, and what is wrong afterwards.

Usage: ``python -m tests.sweep [--backend NAME] [--every N] [--jobs N] [--json FILE] [OPERATION...]``

Each trial is a forked process that is killed, and another that recovers; this one never opens the state.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from zlib import crc32

from core.tests.backends.conftest import PLUGINS, install_plugin
from tests.services.catalog import problem
from tests.sweep.instance import Instance, softhsm_instance, software_instance
from tests.sweep.operations import SWEPT
from tests.sweep.processes import begin, import_what, make_one_wrapping_key, stay_in_callers_thread, work_again
from tests.sweep.sweep import Kill, Sweep

MAKERS: Mapping[str, Callable[[Path], Instance]] = {"software": software_instance, "softhsm": softhsm_instance}
NEEDS = {"software": ("strace",), "softhsm": ("strace", "softhsm")}
SHARED_MEMORY = Path("/dev/shm")
"""Where the trials take place, if it is there: a kill leaves the same on any disk, and nobody waits for this one."""


@dataclass(frozen=True)
class Figures:
    """What became of the sweep of one operation.

    Attributes:
        backend, operation: what was swept.
        places: where it can be interrupted.
        tried: where it was.
        left_out: the names of the other places.
        beyond: the names of those places at which the backend loses all that it has; they are not tried.
        wrong: what was wrong afterwards, by the place.
        seconds: how long it took.
    """

    backend: str
    operation: str
    places: int
    tried: int
    left_out: list[str]
    beyond: list[str]
    wrong: dict[str, list[str]]
    seconds: float


def main() -> int:
    """Sweep, print a line for each operation, and return the exit code."""
    parser = argparse.ArgumentParser(prog="sweep", description=__doc__)
    parser.add_argument("--backend", choices=[*MAKERS], action="append", help="without it, all")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="interrupt at every N-th place only")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="operations at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as well")
    parser.add_argument("operations", nargs="*", metavar="OPERATION", help="without any, all")
    arguments = parser.parse_args()
    backends = arguments.backend or [*MAKERS]
    for service in (service for backend in backends for service in NEEDS[backend]):
        if reason := problem(service):
            parser.error(f"it needs {service}: {reason}")
    logging.disable(logging.WARNING)  # that recovery has to wait is no news here
    stay_in_callers_thread()
    make_one_wrapping_key()
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="keyclave-sweep-", dir=place) as scratch:
        sys.path.insert(0, str(install_plugin(PLUGINS / "foreign", Path(scratch))))
        figures = [
            found
            for backend in backends
            for found in _sweep(
                backend, Path(scratch) / backend, arguments.operations, arguments.every, arguments.jobs
            )
        ]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(each) for each in figures], indent=1) + "\n")
    wrong = sum(len(each.wrong) for each in figures)
    print(f"{sum(each.tried for each in figures)} kills, {wrong} with something wrong afterwards")
    return 1 if wrong or not figures else 0


def _sweep(backend: str, scratch: Path, names: list[str], every: int, jobs: int) -> list[Figures]:
    scratch.mkdir()
    base = MAKERS[backend](scratch / "base")
    import_what(partial(begin, base), scratch / "imported")
    import_what(partial(work_again, base.copy(scratch / "copy")), scratch / "imported")
    todo = [name for name in SWEPT[backend] if name in names or not names]
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        return [*pool.map(partial(_sweep_one, backend, base, scratch, every), todo)]


def _sweep_one(backend: str, base: Instance, scratch: Path, every: int, name: str) -> Figures:
    began = time.monotonic()
    sweep = Sweep(base, name, scratch)
    chosen = set(_chosen(sweep.kills, every, name))
    wrong = {kill.name: found for kill in sweep.kills if kill in chosen and (found := sweep.trial(kill))}
    sweep.close()
    left_out = [kill.name for kill in sweep.kills if kill not in chosen]
    seconds = round(time.monotonic() - began, 1)
    figures = Figures(backend, name, len(sweep.kills), len(chosen), left_out, sweep.others, wrong, seconds)
    print(f"{backend} {name}: {figures.tried} of {figures.places} places, {seconds} s", flush=True)
    for place, found in wrong.items():
        print(f"  {place}: {'; '.join(found)}", flush=True)
    return figures


def _chosen(kills: tuple[Kill, ...], every: int, name: str) -> tuple[Kill, ...]:
    """Return every so many of the kills; the first one differs from operation to operation."""
    return kills[crc32(name.encode()) % min(every, len(kills)) :: every]


if __name__ == "__main__":
    sys.exit(main())
