"""Print the figures of the zoo: ``python -m tests.zoo [--json FILE] [--only TEXT]``."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.services.catalog import problem
from tests.zoo.fault import all_faults
from tests.zoo.hunt import Hunt, hunt


def main() -> int:
    """Hunt every fault by both paths, print what became of it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", metavar="TEXT", help="hunt the faults that have this in their names")
    arguments = parser.parse_args()
    output, todo = arguments.json, _todo(arguments.only)
    if not todo:
        parser.error(f"no fault that can be hunted here has {arguments.only!r} in its name")
    with ProcessPoolExecutor(2) as pool:
        hunts = list(pool.map(_hunt, *zip(*todo, strict=True)))
    for found in hunts:
        how = "plugin" if found.guarded else "object"
        print(f"{'killed  ' if found.killed else 'SURVIVED'} {found.check:>4} {how} {found.fault}: {found.found}")
    faults = {found.fault for found in hunts}
    survivors = sorted({found.fault for found in hunts if not found.killed})
    checks = {found.check for found in hunts}
    print(f"{len(faults)} faults, {len(faults) - len(survivors)} killed, by {len(checks)} checks; ", end="")
    print(f"survivors: {', '.join(survivors) or 'none'}")
    if output is not None:
        figures = {"faults": len(faults), "checks": len(checks), "survivors": survivors}
        output.write_text(json.dumps({**figures, "hunts": [asdict(found) for found in hunts]}, indent=2) + "\n")
    return 1 if survivors else 0


def _todo(text: str) -> list[tuple[int, int, bool]]:
    """Return every hunt of the faults named so: the fault by its place in the zoo, the check, the path."""
    return [
        (place, number, guarded)
        for place, fault in enumerate(all_faults())
        if text in fault.name and not any(map(problem, fault.services))
        for number in fault.kills
        for guarded in (True, False)
    ]


def _hunt(place: int, number: int, guarded: bool) -> Hunt:  # noqa: FBT001  as the pool passes it
    return hunt(all_faults()[place], number, guarded=guarded)


if __name__ == "__main__":
    sys.exit(main())
