"""Each rule that an error may name is explained, and shown by tests whose names carry its number."""

from __future__ import annotations

import re

import pytest

from docs._generated.rules import RULES, shown_by_rule
from tests.docs.markdown import ROOT

_SHOWN = shown_by_rule()


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_shown_by_a_test(rule: str) -> None:
    assert _SHOWN[rule], f"no test is named test_{rule.lower().replace('-', '_')}_…"


def test_no_number_is_without_a_rule() -> None:
    sources = (file for place in ("core/src", "plugins/*/src") for file in ROOT.glob(f"{place}/**/*.py"))
    named = {number for file in sources for number in re.findall(r"\bN?FR-\d{3}", file.read_text())}
    assert (named | _SHOWN.keys()) - RULES.keys() == set()
