"""The report in a few words, which badge, page and command line share."""

from __future__ import annotations

from keyclave_contract_tests.results import Report
from keyclave_contract_tests.vocabulary import Evidence

__all__ = ["MEANING", "earned", "verdict"]

MEANING = {
    Evidence.LIVE: "The suite ran against the product itself.",
    Evidence.EMULATOR: "The suite ran against an emulator: what the service itself does was not tested.",
    Evidence.SIMULATOR: "The suite ran against a simulator: what the device itself does was not tested.",
}
"""What each kind of evidence is worth, in a sentence."""


def earned(report: Report) -> str:
    """Return the levels that were earned, such as ``Core+Sign``; or why there are none."""
    levels = "+".join(result.level.value for result in report.levels if result.earned)
    return levels or ("partial run" if report.run.partial else "no level")


def verdict(report: Report) -> str:
    """Return what a badge says, such as ``contract 2026.11: Core+Sign+Rotate (live)``."""
    return f"contract {report.suite.contract}: {earned(report)} ({report.target.evidence.value})"
