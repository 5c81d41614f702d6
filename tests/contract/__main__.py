"""Run the contract against every backend that this machine can test, and keep the reports: ``--report DIR``.

Each backend is reached as its users reach it, by ``keyclave conform``; the tokens are scratch ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests.contract.backends import BACKENDS, Backend
from tests.services.catalog import problem, required


def main() -> int:
    """Run, print what was earned, and return the exit code."""
    parser = argparse.ArgumentParser(prog="contract", description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("reports/contract"), metavar="DIR")
    parser.add_argument("--budget", help="for all; without it, what each backend is given here")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BACKENDS)}; without any, all")
    arguments = parser.parse_args()
    names = arguments.names or list(BACKENDS)
    return max([_run(name, names, arguments.report, arguments.budget or BACKENDS[name].budget) for name in names])


def _run(name: str, names: list[str], reports: Path, budget: str) -> int:
    backend, report = BACKENDS[name], reports / name
    missing = {service: reason for service in backend.services if (reason := problem(service))}
    for service, reason in missing.items():
        print(f"NOT RUN: {name} needs {service}: {reason}", file=sys.stderr)
    if missing:
        return 1 if required() else 0
    with tempfile.TemporaryDirectory(prefix="keyclave-contract-") as scratch:
        print(f"== {name}", flush=True)
        code = _conform(backend, Path(scratch), report.absolute(), budget)
    if code == 1 and backend.deviations is not None:
        code = _check_deviations(name, report, backend.deviations)
    if code == 0 and budget == "standard":
        code = _check_levels(name, report, backend.levels)
        if backend.same_as in names[: names.index(name)]:
            code |= _check_same(name, report, reports / backend.same_as)
    return code


def _conform(backend: Backend, scratch: Path, report: Path, budget: str) -> int:
    settings, environment = backend.prepare(scratch)
    with backend.running() as further:
        options = [part for key, value in {**settings, **further}.items() for part in ("--set", f"{key}={value}")]
        command = [*backend.run_by, sys.executable, "-m", "keyclave", "conform", backend.plugin, *options]
        return subprocess.run(
            [*command, "--budget", budget, "--report", str(report)],
            env={**os.environ, **environment, "HOME": str(scratch)},
            cwd=scratch,
            check=False,
        ).returncode


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
