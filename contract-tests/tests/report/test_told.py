"""What a terminal shows of a report is short, and harmless whatever a plugin says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from keyclave_contract_tests.results import Report
from keyclave_contract_tests.told import told


def test_failures_come_first_and_levels_after_them(report: Report) -> None:
    lines = list(told(report))
    assert lines[0].startswith("FAIL 23-boundary-lengths for ED25519/ED25519: the signature over 65,536 bytes")
    assert "Core: not earned: 57-corrupted-blob" not in lines[0]
    assert any(one.startswith("Encrypt: earned (") for one in lines)


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202egnp.exe\u2066", "a\nb", "\ud800"])
def test_what_a_plugin_says_is_printable(hostile: Callable[[str], Report], text: str) -> None:
    lines = list(told(hostile(text)))
    assert all(one.isprintable() for one in lines)
    assert any(repr(text)[1:-1] in one for one in lines)


def test_megabytes_from_a_plugin_are_cut_and_counted(hostile: Callable[[str], Report]) -> None:
    lines = list(told(hostile("x" * 1_000_000)))
    assert max(map(len, lines)) <= 500
    assert any("… (999,5" in one and one.endswith(" more characters)") for one in lines)
