"""Install the programs that tests need, where that is allowed, and name those that are missing.

Fails on a missing one only where KEYCLAVE_REQUIRE_SERVICES is 1. ``start NAME...`` starts services and says how to
reach them, until ``stop NAME...``; tests start what they need themselves.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys

from tests.services import environments, go
from tests.services.catalog import SERVICES, problem, required
from tests.services.started import STARTABLE, start, stop


def main() -> int:
    """Do what the arguments ask for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="services", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    for command in ("start", "stop"):
        commands.add_parser(command).add_argument("names", nargs="+", choices=STARTABLE, metavar="NAME")
    arguments = parser.parse_args()
    if arguments.command is None:
        return _install_all()
    act = _start if arguments.command == "start" else _stop
    return max([act(name) for name in arguments.names])


def _start(name: str) -> int:
    try:
        reach = start(name)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{name} is started; stop it with `nox -s services -- stop {name}`")
    for key, value in reach.items():
        print(f"  export {key}={shlex.quote(value)}" if key.isupper() else f"  {key} = {value}")
    return 0


def _stop(name: str) -> int:
    print(f"{name} is stopped" if stop(name) else f"{name} was not started")
    return 0


def _install_all() -> int:
    """Install, report, and return the exit code."""
    missing = [name for name in SERVICES if problem(name)]
    if missing:
        _install(missing)
        problem.cache_clear()
    for name, service in SERVICES.items():
        reason = problem(name)
        print(f"{'MISSING ' if reason else 'ready   '} {name}: {service.purpose}{f' ({reason})' if reason else ''}")
    missing = [name for name in SERVICES if problem(name)]
    if missing:
        print(f"NOT RUN: the tests that need {', '.join(missing)}", file=sys.stderr)
    return 1 if missing and required() else 0


def _install(names: list[str]) -> None:
    packages = [package for name in names for package in SERVICES[name].packages]
    if packages:
        _install_packages(packages)
    for name in names:
        if not SERVICES[name].packages:
            _install_environment(name)


def _install_environment(name: str) -> None:
    tool, install = ("go", go.install) if name in go.MODULES else ("pip", environments.install)
    try:
        install(name)
    except (subprocess.CalledProcessError, FileNotFoundError):
        print(f"{tool} could not install {name}", file=sys.stderr)


def _install_packages(packages: list[str]) -> None:
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
