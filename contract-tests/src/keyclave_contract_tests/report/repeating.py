"""How somebody else repeats a run."""

from __future__ import annotations

import shlex

from keyclave_contract_tests.results import Report

__all__ = ["commands"]


def commands(report: Report) -> tuple[tuple[str, ...], ...]:
    """Return the shell commands that install what ran and run it again: their words, quoted for a POSIX shell.

    A run without a command line of its own was one of pytest.
    """
    wanted = [
        f"keyclave[cli]=={report.framework.keyclave}",
        f"keyclave-contract-tests=={report.suite.version}",
        f"cryptography=={report.framework.cryptography}",
        f"hypothesis=={report.framework.hypothesis}",
    ]
    if report.plugin.distribution and report.plugin.version:
        wanted.append(f"{report.plugin.distribution}=={report.plugin.version}")
    run = report.run.command or ("python", "-m", "pytest")
    return tuple(tuple(map(shlex.quote, words)) for words in (("pip", "install", *wanted), run))
