"""How somebody else repeats a run."""

from __future__ import annotations

import shlex

from keyclave_contract_tests.results import Report

__all__ = ["commands"]


def commands(report: Report) -> tuple[str, ...]:
    """Return the shell commands that install what ran and run it again, a line each, quoted for a POSIX shell."""
    wanted = [
        f"keyclave[cli]=={report.framework.keyclave}",
        f"keyclave-contract-tests=={report.suite.version}",
        f"cryptography=={report.framework.cryptography}",
        f"hypothesis=={report.framework.hypothesis}",
    ]
    if report.plugin.distribution and report.plugin.version:
        wanted.append(f"{report.plugin.distribution}=={report.plugin.version}")
    install = shlex.join(["pip", "install", *wanted])
    if report.run.path == "object":
        return install, "pytest"
    run = ["keyclave", "conform", report.plugin.name, "--config", "keyclave.toml", "--budget", report.run.budget]
    return install, shlex.join([*run, "--seed", str(report.run.seed), "--report", "report"])
