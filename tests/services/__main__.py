"""Install the programs that tests need, where that is allowed, and name those that are missing.

Run as ``python -m tests.services``. Fails on a missing one only where KEYCLAVE_REQUIRE_SERVICES is 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.services.catalog import SERVICES, problem, required


def main() -> int:
    """Install, report, and return the exit code."""
    missing = [name for name in SERVICES if problem(name)]
    if missing:
        _install([SERVICES[name].package for name in missing])
        problem.cache_clear()
    for name, service in SERVICES.items():
        reason = problem(name)
        print(f"{'MISSING ' if reason else 'ready   '} {name}: {service.purpose}{f' ({reason})' if reason else ''}")
    missing = [name for name in SERVICES if problem(name)]
    if missing:
        print(f"NOT RUN: the tests that need {', '.join(missing)}", file=sys.stderr)
    return 1 if missing and required() else 0


def _install(packages: list[str]) -> None:
    """Install packages with apt, as root or with sudo where it asks no password; report what it says."""
    privilege = _privilege()
    if privilege is None:
        print(f"cannot install {', '.join(packages)}: this needs apt-get, as root or with sudo", file=sys.stderr)
        return
    apt = [*privilege, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    for command in (["update"], ["install", "--no-install-recommends", *packages]):
        if subprocess.run([*apt, *command], stdin=subprocess.DEVNULL, check=False).returncode:
            print(f"apt-get {command[0]} failed", file=sys.stderr)


def _privilege() -> list[str] | None:
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and not subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode
    ):
        return ["sudo", "-n"]
    return None


if __name__ == "__main__":
    sys.exit(main())
