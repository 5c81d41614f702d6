"""Run the races of a fleet in full, and print figures: ``python -m tests.fleet [--json FILE] [--only TEXT] ...``."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.tests.databases import Place, on_server, sqlite_in
from tests.fleet.races import rotations, stopped
from tests.fleet.servers import killed_in_commit, restarted
from tests.services.postgresql import Server, running

PROCESSES = 8
KINDS = ("sqlite", "postgresql")
LEASE_SECONDS = 5


def main() -> None:
    """Run every race on every database that it is for; the first rule that does not hold ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", metavar="TEXT", help="run the races that have this in their names")
    parser.add_argument("--races", type=int, default=1000, metavar="NUMBER")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    with running() as server:
        for name, run in _runs(server, arguments.races).items():
            if arguments.only not in name:
                continue
            figures[name] = run()
            print(f"{name}: {figures[name]}", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _runs(server: Server, races: int) -> dict[str, Callable[[], dict[str, Any]]]:
    def on(kind: str, race: Callable[..., dict[str, Any]], **options: Any) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            with _scratch(kind, server) as (place, directory):
                return race(place, directory, **options)

        return run

    def crashing(race: Callable[..., dict[str, Any]], **options: Any) -> Callable[[], dict[str, Any]]:
        return on("postgresql", lambda *there, **how: race(server, *there, **how), processes=PROCESSES, **options)

    return {
        **{f"stopped, {kind}": on(kind, stopped, lease_seconds=LEASE_SECONDS, times=10) for kind in KINDS},
        "server restarted": crashing(restarted, times=5),
        **{f"rotations, {kind}": on(kind, rotations, processes=PROCESSES, races=races) for kind in KINDS},
        "session killed in COMMIT": crashing(killed_in_commit, times=20),
    }


@contextmanager
def _scratch(kind: str, server: Server) -> Iterator[tuple[Place, Path]]:
    with tempfile.TemporaryDirectory(prefix="keyclave-fleet-") as directory:
        if kind == "sqlite":
            yield sqlite_in(Path(directory)), Path(directory)
        else:
            with on_server(server, Path(directory)) as place:
                yield place, Path(directory)


if __name__ == "__main__":
    main()
