"""The report as one HTML page that needs no other file, no script and no network."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from keyclave_contract_tests.report.matrix import matrix
from keyclave_contract_tests.report.repeating import commands
from keyclave_contract_tests.report.summary import MEANING, earned
from keyclave_contract_tests.report.text import LONGEST, counted, line, lines
from keyclave_contract_tests.results import CaseResult, Report
from keyclave_contract_tests.vocabulary import Group, State

__all__ = ["STATES", "page"]

STATES = {
    State.PASS: ("pass", "Pass", "the property held"),
    State.FAIL: ("fail", "Fail", "the backend broke the property"),
    State.ERROR: ("error", "Error", "the check could not be carried out"),
    State.KNOWN_FAIL: ("known", "Known failure", "it failed as the vendor's ledger says"),
    State.UNSUPPORTED: ("unsupported", "Unsupported", "it was tried, and refused without any effect"),
    State.NOT_RUN: ("not-run", "Not run", "the budget or a filter left it out"),
}
"""For each state its class in the style sheet, its name, and what it means."""

_FOLDER = files("keyclave_contract_tests.report")
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)


def page(report: Report) -> str:
    """Return the report as an HTML page.

    Whatever the template puts out is escaped, for HTML by autoescape and for the eye by `_harmless`; a policy in the
    page lets a browser load and run nothing.
    """
    return _TEMPLATE.render(
        report=report,
        style=Markup(_STYLE),  # noqa: S704  a file of this package
        policy=_POLICY,
        earned=earned(report),
        meaning=MEANING[report.target.evidence],
        numbers=Counter(case.state for case in report.cases),
        matrix=matrix(report),
        problems=_of(report, State.FAIL, State.ERROR),
        known=_of(report, State.KNOWN_FAIL),
        unsupported=_by_reason(_of(report, State.UNSUPPORTED)),
        not_run=_by_reason(_of(report, State.NOT_RUN)),
        groups={group: [case for case in report.cases if case.group is group] for group in Group},
        commands=commands(report),
    )


def _of(report: Report, *states: State) -> list[CaseResult]:
    return [case for case in report.cases if case.state in states]


def _by_reason(cases: Iterable[CaseResult]) -> dict[str, list[CaseResult]]:
    reasons: dict[str, list[CaseResult]] = {}
    for case in cases:
        reasons.setdefault(case.reason, []).append(case)
    return reasons


def _harmless(value: Any) -> Any:
    """Return what the template puts out as one printable line; autoescape follows."""
    return value if isinstance(value, Markup) else line(value, LONGEST)


def _several_lines(text: str) -> Markup:
    return escape(lines(text))


def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_harmless, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"lines": _several_lines, "counted": counted}
    environment.globals |= {"STATES": STATES}
    return environment


_TEMPLATE = _environment().from_string((_FOLDER / "page.html.j2").read_text(encoding="utf-8"))
