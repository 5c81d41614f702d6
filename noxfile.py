"""How Keyclave is checked and built. `nox` alone runs what CI runs; `nox --list` says what else there is.

Everything runs in the environment that nox itself runs in, as README's second command makes it. Only the sessions
for other versions of Python make environments of their own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.16"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["install", "services", "lint", "typing", "tests", "contract", "wheels", "docs"]

DISTRIBUTIONS = ("core", *sorted(map(str, Path("plugins").glob("*"))), "contract-tests")
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
LOCAL = ("--no-deps", "--no-build-isolation", *(part for path in DISTRIBUTIONS for part in ("--editable", path)))
CODE = (*DISTRIBUTIONS, "tests", "docs", "noxfile.py", "conftest.py")
# Each process takes a whole stretch of the tests, so that few of them start the same server, and then helps others.
# Tests wait for servers, timeouts and kills: more processes than cores keep the two of CI busy.
SHARED_OUT = "--dist=worksteal"
SIDE_BY_SIDE = ("--numprocesses=4", SHARED_OUT)
OTHER_PYTHONS = ("3.11", "3.12", "3.13", "3.14")


@nox.session
def install(session: nox.Session) -> None:
    """Install Keyclave's own distributions, editable; what they need came with nox."""
    session.run(sys.executable, *PIP, *LOCAL)


@nox.session
def services(session: nox.Session) -> None:
    """Install the programs that tests need; ``-- start NAME...`` and ``-- stop NAME...`` run services by hand."""
    session.run(sys.executable, "-m", "tests.services", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, and who may import whom."""
    session.run(sys.executable, "-m", "ruff", "format", "--check", *CODE)
    session.run(sys.executable, "-m", "ruff", "check", *CODE)
    session.run(str(Path(sys.executable).with_name("lint-imports")), "--no-logo")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types, strictly."""
    session.run(sys.executable, "-m", "mypy", *CODE)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, with branch coverage of the core."""
    session.run(
        *(sys.executable, "-m", "pytest", *SIDE_BY_SIDE, "--ignore=tests/packaging"),
        *("--cov", "--cov-report=term", *session.posargs),
    )


@nox.session(name="tests-on", python=OTHER_PYTHONS, venv_backend="virtualenv", download_python="never")
def tests_on(session: nox.Session) -> None:
    """Run the tests on another version of Python that is installed on this machine."""
    session.install("--no-deps", "--require-hashes", "--requirement", "constraints/dev.txt")
    session.install(*LOCAL)
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, "--ignore=tests/packaging", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every wheel and sdist, and run README's first command and the main job from wheels alone."""
    session.run(sys.executable, "-m", "pytest", "--numprocesses=2", SHARED_OUT, "tests/packaging", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into ``site``; every warning is an error."""
    session.run(sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet")


@nox.session
def contract(session: nox.Session) -> None:
    """Run the contract against each backend, and keep the reports in ``reports/contract``."""
    session.run(sys.executable, "-m", "tests.contract", *session.posargs)


@nox.session
def zoo(session: nox.Session) -> None:
    """Print which check of the contract suite finds which faulty backend; ``-- --json FILE`` writes it as well."""
    session.run(sys.executable, "-m", "tests.zoo", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """Kill every operation everywhere, recover, and check the invariants; ``-- --json FILE`` writes the figures."""
    session.run(sys.executable, "-m", "tests.sweep", *session.posargs)


@nox.session
def fleet(session: nox.Session) -> None:
    """Race the processes of a fleet in full, and crash its server; ``-- --json FILE`` writes the figures."""
    session.run(sys.executable, "-m", "tests.fleet", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure against the floor of the same run, and peers; ``-- --json FILE`` writes the figures as well."""
    session.run(sys.executable, *PIP, "--no-deps", "--require-hashes", "--requirement", "constraints/peers.txt")
    session.run(sys.executable, "tests/benchmarks", *session.posargs, env={"PYTHONPATH": "."})


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve every dependency anew, and write the pins with their hashes to ``constraints``."""
    uv = (sys.executable, "-m", "uv")
    session.run(*uv, "lock", "--upgrade")
    export = (*uv, "export", "--quiet", "--frozen", "--no-emit-workspace", "--no-header", "--no-annotate")
    for group in ("run", "build", "dev", "peers"):
        session.run(*export, "--only-group", group, "--output-file", f"constraints/{group}.txt")
    compiled = (*uv, "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version", "3.11")
    for service in ("cloud-clients", "ministack"):
        session.run(
            *(*compiled, "--generate-hashes", "--no-header", "--no-annotate", f"tests/services/{service}.in"),
            *("--output-file", f"constraints/{service}.txt"),
        )
