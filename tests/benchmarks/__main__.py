"""Run every benchmark beside this file, and print the figures with their targets.

``--json FILE`` writes them as well, ``--only WORD`` runs the benchmarks whose name contains the word.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

MARKS = {True: "met", False: "MISSED", None: ""}


def main() -> int:
    """Run, print, and return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as a list of records")
    parser.add_argument("--only", default="", metavar="WORD", help="run the benchmarks whose name contains WORD")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    rows: list[dict[str, Any]] = []
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        if arguments.only in path.stem:
            print(f"\n{path.stem.removeprefix('bench_')}")
            measured = importlib.import_module(path.stem).run()
            rows += measured
            _print(measured)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 1 if any(row["met"] is False for row in rows) else 0


def _print(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(
            f"  {row['id']:<44} {row['value']:>12,.3f} {row['unit']:<10} {row['target']:<12} {MARKS[row['met']]}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
