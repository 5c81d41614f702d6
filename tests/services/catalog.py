"""The programs that some tests need: what they are for, and where they come from.

Debian and Ubuntu have them, or they are written in Python and pinned in ``constraints``, or in Go.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.services import environments, go

__all__ = ["SERVICES", "Service", "library", "not_root", "problem", "program", "required"]

_USER = 1000  # not 65534, which stands for every user that the namespace does not have


@dataclass(frozen=True)
class Service:
    """One program.

    Attributes:
        name: what tests call it.
        packages: the packages of Debian and Ubuntu that have it; none, if it has a directory of its own.
        purpose: what the tests do with it.
        probe: a command that only succeeds where the program can be used.
        elsewhere: the pattern of directories, below the root, that are searched after PATH.
        library: the pattern of a shared library, below the root, that must be there as well.
    """

    name: str
    packages: tuple[str, ...]
    purpose: str
    probe: tuple[str, ...]
    elsewhere: str | None = None
    library: str | None = None


def not_root() -> tuple[str, ...]:
    """Return what a command begins with so that it does not find itself to be root, and reaches the same files.

    p11-kit leaves the configuration of users aside where root asks for it. For root, the command is run in a user
    namespace, in which root has another number: a container must allow that.
    """
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return ("unshare", "--user", f"--map-user={_USER}", f"--map-group={_USER}") if root else ()


SERVICES = {
    service.name: service
    for service in (
        Service(
            "cc",
            ("gcc", "libc6-dev", "libp11-kit-dev"),
            "compiles what stands between Keyclave and a PKCS#11 module in tests, and a loop for benchmarks",
            ("cc", "-fsyntax-only", "-I/usr/include/p11-kit-1", "-include", "p11-kit/pkcs11.h", "-xc", "/dev/null"),
        ),
        Service(
            "cloud-clients",
            (),
            "ask the metadata servers of Google and Azure, to show that those of the tests answer as theirs do",
            ("python", "-c", "import azure.identity, google.auth.compute_engine"),
        ),
        Service(
            "ec2-metadata-mock",
            (),
            "answers as the instance metadata service of EC2 does",
            ("ec2-metadata-mock", "--help"),
        ),
        Service("git", ("git",), "copies what is committed, as a fresh clone would", ("git", "--version")),
        Service(
            "ministack",
            (),
            "emulates AWS, on loopback",
            ("ministack", "--help"),
        ),
        Service(
            "namespace",
            ("util-linux", "iproute2"),
            "gives a process a network of its own, in which it can be asked at the address of a metadata server",
            ("unshare", "--user", "--net", "--map-root-user", "ip", "link", "set", "lo", "up"),
        ),
        Service(
            "nss",
            ("libnss3", "libnss3-tools"),
            "keeps keys behind PKCS#11, as a second module that behaves unlike the first",
            ("modutil", "-rawlist", "-dbdir", "/dev/null"),
            library="usr/lib/*/libsoftokn3.so",
        ),
        Service(
            "openssl", ("openssl",), "verifies signatures, independently of the libraries", ("openssl", "version")
        ),
        Service(
            "p11-kit",
            ("p11-kit-modules", "util-linux"),
            "stands between Keyclave and NSS, as another way to give a module what it wants",
            (*not_root(), "env", "true"),
            library="usr/lib/*/p11-kit-proxy.so",
        ),
        Service(
            "postgresql",
            ("postgresql",),
            "keeps the state on a server, started by the tests for themselves",
            ("initdb", "--version"),
            "usr/lib/postgresql/*/bin",
        ),
        Service(
            "softhsm",
            ("softhsm2",),
            "keeps keys behind PKCS#11",
            ("softhsm2-util", "--version"),
            library="usr/lib/softhsm/libsofthsm2.so",
        ),
        Service("ssh", ("openssh-client",), "reads keys and checks certificates", ("ssh", "-V")),
        Service("strace", ("strace",), "shows which files are flushed to disk, and when", ("strace", "-f", "true")),
    )
}


@functools.cache
def problem(name: str) -> str | None:
    """Return why the service cannot be used, or ``None`` if it can."""
    probe = SERVICES[name].probe
    path = program(name, probe[0])
    if path is None:
        return f"{probe[0]} is not installed"
    if SERVICES[name].library is not None and library(name) is None:
        return f"{SERVICES[name].library} is not installed"
    result = subprocess.run([path, *probe[1:]], capture_output=True, check=False, timeout=60)
    return f"`{' '.join(probe)}` fails on this machine" if result.returncode else None


def program(name: str, command: str) -> str | None:
    """Return the path of a command of a service, or ``None`` if it is not installed."""
    if not SERVICES[name].packages:
        home = go.directory(name) if name in go.MODULES else environments.directory(name)
        return shutil.which(command, path=str(home / "bin"))
    pattern = SERVICES[name].elsewhere
    beside = sorted(map(str, Path("/").glob(pattern)), reverse=True) if pattern else []
    return shutil.which(command, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *beside]))


def library(name: str) -> Path | None:
    """Return the path of the shared library of a service, or ``None`` if it is not installed."""
    pattern = SERVICES[name].library
    return next(iter(sorted(Path("/").glob(pattern))), None) if pattern else None


def required() -> bool:
    """Return whether a missing service is a failure, as in CI, and not a reason to skip."""
    return os.environ.get("KEYCLAVE_REQUIRE_SERVICES") == "1"
