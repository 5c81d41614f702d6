"""The report as JUnit XML, which CI systems show.

PASS is a test case without a child. UNSUPPORTED and NOT-RUN are ``skipped``, with the state as ``type``; KNOWN-FAIL
is ``skipped`` of the type ``known``; FAIL is ``failure`` and ERROR is ``error``. Each group is a test suite.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from keyclave_contract_tests.report.text import line, lines
from keyclave_contract_tests.results import CaseResult, Report
from keyclave_contract_tests.vocabulary import Group, State

__all__ = ["junit"]

_OUTCOMES = {
    State.FAIL: ("failure", "FAIL"),
    State.ERROR: ("error", "ERROR"),
    State.UNSUPPORTED: ("skipped", "UNSUPPORTED"),
    State.NOT_RUN: ("skipped", "NOT-RUN"),
    State.KNOWN_FAIL: ("skipped", "known"),
}


def junit(report: Report) -> bytes:
    """Return the report as JUnit XML in UTF-8, with nothing in it that XML 1.0 does not allow."""
    root = ET.Element(
        "testsuites", {"name": line(f"Keyclave contract: {report.plugin.name}"), **_totals(report.cases)}
    )
    for group in Group:
        if cases := [case for case in report.cases if case.group is group]:
            suite = ET.SubElement(root, "testsuite", {"name": group.value, **_totals(cases)})
            suite.extend(map(_case, cases))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _totals(cases: Iterable[CaseResult]) -> dict[str, str]:
    cases = tuple(cases)
    kinds = [_OUTCOMES[case.state][0] for case in cases if case.state in _OUTCOMES]
    return {
        "tests": str(len(cases)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _case(case: CaseResult) -> ET.Element:
    subject = f"[{case.subject}]" if case.subject else ""
    element = ET.Element(
        "testcase",
        {"classname": f"contract.{case.group.value}", "name": line(case.id + subject), "time": f"{case.seconds:.3f}"},
    )
    if outcome := _OUTCOMES.get(case.state):
        tag, kind = outcome
        reason = case.ledger or case.reason
        child = ET.SubElement(element, tag, {"type": kind, "message": line(reason)})
        child.text = lines("\n".join(filter(None, [case.title, case.reason, case.example])))
    return element
