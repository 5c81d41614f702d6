"""The badge says which levels were earned and against what, and stays an image whatever the plugin is called."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyclave_contract_tests.report.badge import badge
from keyclave_contract_tests.report.summary import verdict
from keyclave_contract_tests.results import Report
from keyclave_contract_tests.vocabulary import Evidence

SVG = "{http://www.w3.org/2000/svg}"


def _texts(drawn: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(drawn).iter(f"{SVG}text")]


def test_the_levels_that_were_earned(report: Report, perfect: Report) -> None:
    assert verdict(report) == "contract 2026.11: Core+Encrypt+Rotate (live)"
    assert _texts(badge(report)) == ["contract 2026.11", "Core+Encrypt+Rotate (live)"]
    assert verdict(perfect) == ("contract 2026.11: Core+Sign+Encrypt+Wrap+Rotate+Durable+Parallel+Hardware (live)")


@pytest.mark.parametrize(("partial", "said"), [(False, "no level"), (True, "partial run")])
def test_no_level(report: Report, *, partial: bool, said: str) -> None:
    replace = msgspec.structs.replace
    none = replace(
        report,
        levels=tuple(replace(level, earned=False) for level in report.levels),
        run=replace(report.run, partial=partial),
        target=replace(report.target, evidence=Evidence.SIMULATOR),
    )
    assert _texts(badge(none)) == ["contract 2026.11", f"{said} (simulator)"]
    assert ET.fromstring(badge(none)).findall(f"{SVG}rect")[1].get("fill") != "#17653a"


def test_the_title_says_the_same_to_those_who_do_not_see_it(report: Report) -> None:
    root = ET.fromstring(badge(report))
    title = root.find(f"{SVG}title")
    assert title is not None
    assert root.get("role") == "img"
    assert (
        title.text
        == root.get("aria-label")
        == ("acme-hsm 1.4.2: contract 2026.11: Core+Encrypt+Rotate (live), self-asserted")
    )


@given(text=st.text(st.characters(exclude_categories=())))
def test_any_name_makes_the_same_drawing(hostile: Callable[[str], Report], text: str) -> None:
    drawn = ET.fromstring(badge(hostile(text)))
    assert [element.tag.removeprefix(SVG) for element in drawn.iter()] == [
        "svg",
        "title",
        "rect",
        "text",
        "rect",
        "text",
    ]
    assert (drawn.get("aria-label") or "").isprintable()
    assert int(drawn.get("width") or 0) < 2000
