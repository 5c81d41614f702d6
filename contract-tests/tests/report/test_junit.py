"""The JUnit file says what the report says, and any XML parser reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyclave_contract_tests.report.junit import junit
from keyclave_contract_tests.results import Report
from keyclave_contract_tests.vocabulary import State

FORMS = {
    State.PASS: (),
    State.FAIL: ("failure", "FAIL"),
    State.ERROR: ("error", "ERROR"),
    State.UNSUPPORTED: ("skipped", "UNSUPPORTED"),
    State.NOT_RUN: ("skipped", "NOT-RUN"),
    State.KNOWN_FAIL: ("skipped", "known"),
}


def _form(case: ET.Element) -> tuple[str, ...]:
    return tuple(part for child in case for part in (child.tag, child.get("type") or ""))


def test_every_result_is_a_test_case_of_the_right_form(report: Report) -> None:
    root = ET.fromstring(junit(report))
    forms = Counter(_form(case) for case in root.iter("testcase"))
    assert forms == Counter(FORMS[case.state] for case in report.cases)
    assert set(FORMS) == set(State)


@pytest.mark.parametrize("tag", ["testsuites", "testsuite"])
def test_the_totals_are_right(report: Report, tag: str) -> None:
    root = ET.fromstring(junit(report))
    for suite in root.iter(tag):
        cases = list(suite.iter("testcase"))
        children = Counter(child.tag for case in cases for child in case)
        assert suite.get("tests") == str(len(cases))
        for attribute, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(attribute) == str(children[child])


def test_a_failure_tells_property_reason_and_example(report: Report) -> None:
    root = ET.fromstring(junit(report))
    failure = root.find(".//testcase[@name='57-corrupted-blob[RSA_2048]']/failure")
    assert failure is not None
    assert failure.get("message") == "import_key took a blob whose last byte was changed, and made a key"
    assert (failure.text or "").splitlines()[0] == "A blob that was changed makes no key."
    assert "    algorithm='RSA_2048',\n" in (failure.text or "")


def test_a_known_failure_tells_what_the_ledger_says(report: Report) -> None:
    skipped = ET.fromstring(junit(report)).find(".//skipped[@type='known']")
    assert skipped is not None
    assert (skipped.get("message") or "").startswith("Replication between slots")
    assert "the second process saw the new key after 12 s" in (skipped.text or "")


@given(text=st.text(st.characters(exclude_categories=())))
def test_any_text_makes_xml_that_is_read_again(hostile: Callable[[str], Report], text: str) -> None:
    root = ET.fromstring(junit(hostile(text)))
    assert {element.tag for element in root.iter()} == {
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
        "error",
        "skipped",
    }
    assert len(list(root.iter("testcase"))) == len(State)
    shown = "".join(part for element in root.iter() for part in (*element.attrib.values(), element.text or ""))
    assert shown.replace("\n", "").isprintable()
