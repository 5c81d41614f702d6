"""Run the contract against every backend that this machine can test, and keep the reports: ``--report DIR``.

Each backend is reached as its users reach it, by ``keyclave conform``; the tokens are scratch ones. Two runs go on at
a time, since each waits for its own processes and its backend about half the time. What one says is kept together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from tests.contract.backends import BACKENDS, Backend
from tests.services.catalog import problem, required

_AT_A_TIME = 2
Ended = subprocess.CompletedProcess[str]
"""A run: what it said, and its exit code."""


def main() -> int:
    """Run, print what was earned, and return the exit code."""
    parser = argparse.ArgumentParser(prog="contract", description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("reports/contract"), metavar="DIR")
    parser.add_argument("--budget", help="for all; without it, what each backend is given here")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BACKENDS)}; without any, all")
    arguments = parser.parse_args()
    names, reports = arguments.names or list(BACKENDS), arguments.report.absolute()
    budgets = {name: arguments.budget or BACKENDS[name].budget for name in names}
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        runs = {
            name: pool.submit(_conform, BACKENDS[name], reports / name, budgets[name])
            for name in names
            if not _missing(name)
        }
        codes = [_judge(name, run.result(), runs, reports, budgets[name]) for name, run in runs.items()]
    not_run = 1 if len(runs) < len(names) and required() else 0
    return max([not_run, *codes])


def _missing(name: str) -> bool:
    """Return whether a backend cannot be run here, and say why."""
    missing = {service: reason for service in BACKENDS[name].services if (reason := problem(service))}
    for service, reason in missing.items():
        print(f"NOT RUN: {name} needs {service}: {reason}", file=sys.stderr)
    return bool(missing)


def _conform(backend: Backend, report: Path, budget: str) -> Ended:
    with tempfile.TemporaryDirectory(prefix="keyclave-contract-") as scratch, backend.running() as further:
        settings, environment = backend.prepare(Path(scratch))
        options = [part for key, value in {**settings, **further}.items() for part in ("--set", f"{key}={value}")]
        command = [*backend.run_by, sys.executable, "-m", "keyclave", "conform", backend.plugin, *options]
        return subprocess.run(
            [*command, "--budget", budget, "--report", str(report)],
            env={**os.environ, **environment, "HOME": scratch},
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def _judge(name: str, ended: Ended, runs: Mapping[str, Future[Ended]], reports: Path, budget: str) -> int:
    """Print what a run said, and return 0 where it is as this repository expects."""
    backend, report, code = BACKENDS[name], reports / name, ended.returncode
    print(f"== {name}\n{ended.stdout}", end="", flush=True)
    if code == 1 and backend.deviations is not None:
        code = _check_deviations(name, report, backend.deviations)
    if code == 0 and budget == "standard":
        code = _check_levels(name, report, backend.levels)
        if backend.same_as is not None and backend.same_as in runs:
            runs[backend.same_as].result()  # until then, its report is not there
            code |= _check_same(name, report, reports / backend.same_as)
    return code


def _check_deviations(name: str, report: Path, file: str) -> int:
    """Return 1, and say so, where other checks failed than those that fail by what an emulator does wrong."""
    from keyclave_contract_tests.report.document import read  # noqa: PLC0415  only once there is a report

    from tests.contract.deviations import problems, read_deviations  # noqa: PLC0415  as above

    deviations = read_deviations(Path(__file__).with_name(file))
    found = list(problems(read(report / "contract-report.json").cases, deviations))
    for problem_found in found:
        print(f"{name}: not as expected: {problem_found}", file=sys.stderr)
    if not found:
        print(f"{name}: all failures are those of the emulator in tests/contract/{file}")
    return 1 if found else 0


def _check_levels(name: str, report: Path, levels: Mapping[str, bool]) -> int:
    """Return 1, and say so, where a level was won or lost that this repository's documentation says otherwise."""
    from keyclave_contract_tests.report.document import read  # noqa: PLC0415  only once there is a report

    found = {level.level.value: level.earned for level in read(report / "contract-report.json").levels}
    wrong = [level for level, earned in levels.items() if found[level] is not earned]
    if wrong:
        print(f"{name}: not as expected: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _check_same(name: str, report: Path, other: Path) -> int:
    """Return 1, and say so, where a check ended otherwise than in another report of this run."""
    from keyclave_contract_tests.report.comparison import compare, describe  # noqa: PLC0415  as above
    from keyclave_contract_tests.report.document import read  # noqa: PLC0415

    comparison = compare(*(read(directory / "contract-report.json") for directory in (other, report)))
    if any(msgspec.structs.astuple(comparison)):
        print(f"{name}: not as {other.name}:\n{describe(comparison)}", file=sys.stderr)
        return 1
    print(f"Every check ended as with {other.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
