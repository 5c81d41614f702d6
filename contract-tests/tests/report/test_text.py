"""Text of a plugin is readable and harmless, whatever it is."""

from __future__ import annotations

import doctest
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyclave_contract_tests.report import text as module
from keyclave_contract_tests.report.text import LONGEST, bounded, line, lines
from keyclave_contract_tests.results import Report

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_the_examples() -> None:
    assert doctest.testmod(module).failed == 0


@given(text=ANY_TEXT)
def test_a_line_holds_printable_characters_only(text: str) -> None:
    assert line(text).isprintable()
    assert lines(text).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "character", ["\x1b", "\0", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud800", "\ufffe", "\x85"]
)
def test_characters_that_deceive_are_shown_as_escapes(character: str) -> None:
    assert unicodedata.category(character)[0] == "C"
    assert line(f"a{character}b") == f"a{character!r}b".replace("'", "")


def test_ordinary_text_of_any_script_stays() -> None:
    assert line("Schlüssel ключ 鍵 مفتاح <b>&amp;</b>") == "Schlüssel ключ 鍵 مفتاح <b>&amp;</b>"


@given(text=ANY_TEXT, times=st.integers(1, 30_000))
def test_a_text_is_bounded_and_says_so(text: str, times: int) -> None:
    shown = line("a" * times, 100)
    assert len(shown) <= 100
    assert shown == "a" * times or shown.endswith(f"({times - 50:,} more characters)")
    assert len(lines(text * times)) <= 10 * LONGEST  # an escape is at most ten characters long


def test_a_report_is_bounded_once(hostile: Callable[[str], Report]) -> None:
    kept = bounded(hostile("\ud800" + "x" * 100_000))
    assert max(len(kept.cases[0].reason), len(kept.bounds[0]), *map(len, kept.run.calls)) <= LONGEST
    assert kept.cases[0].reason.startswith("\\ud800xxx")
    assert bounded(kept) == kept


def test_a_report_without_such_text_stays_as_it_is(report: Report) -> None:
    assert bounded(report) == report
