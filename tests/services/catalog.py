"""The programs outside Python that some tests need: what they are for, and where Debian and Ubuntu have them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SERVICES", "Service", "problem", "program", "required"]


@dataclass(frozen=True)
class Service:
    """One program.

    Attributes:
        name: what tests call it.
        package: the package of Debian and Ubuntu that has it.
        purpose: what the tests do with it.
        probe: a command that only succeeds where the program can be used.
        elsewhere: the pattern of directories, below the root, that are searched after PATH.
    """

    name: str
    package: str
    purpose: str
    probe: tuple[str, ...]
    elsewhere: str | None = None


SERVICES = {
    service.name: service
    for service in (
        Service("git", "git", "copies what is committed, as a fresh clone would", ("git", "--version")),
        Service("openssl", "openssl", "verifies signatures, independently of the libraries", ("openssl", "version")),
        Service(
            "postgresql",
            "postgresql",
            "keeps the state on a server, started by the tests for themselves",
            ("initdb", "--version"),
            "usr/lib/postgresql/*/bin",
        ),
        Service("ssh", "openssh-client", "reads keys and checks certificates", ("ssh", "-V")),
        Service("strace", "strace", "shows which files are flushed to disk, and when", ("strace", "-f", "true")),
    )
}


@functools.cache
def problem(name: str) -> str | None:
    """Return why the service cannot be used, or ``None`` if it can."""
    probe = SERVICES[name].probe
    path = program(name, probe[0])
    if path is None:
        return f"{probe[0]} is not installed"
    result = subprocess.run([path, *probe[1:]], capture_output=True, check=False, timeout=60)
    return f"`{' '.join(probe)}` fails on this machine" if result.returncode else None


def program(name: str, command: str) -> str | None:
    """Return the path of a command of a service, or ``None`` if it is not installed."""
    pattern = SERVICES[name].elsewhere
    beside = sorted(map(str, Path("/").glob(pattern)), reverse=True) if pattern else []
    return shutil.which(command, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *beside]))


def required() -> bool:
    """Return whether a missing service is a failure, as in CI, and not a reason to skip."""
    return os.environ.get("KEYCLAVE_REQUIRE_SERVICES") == "1"
