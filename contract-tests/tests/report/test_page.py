"""The page shows the whole report, is safe whatever a plugin says, and can be read by everybody."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyclave_contract_tests import report as package
from keyclave_contract_tests.report.matrix import matrix
from keyclave_contract_tests.report.page import STATES, page
from keyclave_contract_tests.report.text import line
from keyclave_contract_tests.results import Report
from keyclave_contract_tests.vocabulary import Evidence, Group, State

replace = msgspec.structs.replace
ATTACKS = (
    "<script>alert(1)</script>",
    "</pre></article><img src=x onerror=alert(1)>",
    '"><a href="javascript:alert(1)">x</a>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</style><style>body{display:none}",
    "]]>&lt;&#60;",
    "\u202egnp.exe\u2066",
    "\x1b[2J\x00\ud800",
)
VOID = {"meta", "br", "link", "wbr"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and requires that every tag is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_head_says_what_was_tested(report: Report) -> None:
    text = Reader(page(report)).text
    for said in (
        "Acme Vault HSM 3000, firmware 4.2",
        "acme-hsm, from keyclave-acme-hsm 1.4.2",
        "contract 2026.11",
        "Core+Encrypt+Rotate",
        "25 November 2026, 14:03 UTC",
        "Evidence: live. The suite ran against the product itself.",
        "Self-asserted. Whoever ran the suite published this page, and nobody else has checked it.",
    ):
        assert said in text


def test_every_failure_is_told_with_reason_and_example(report: Report) -> None:
    text = Reader(page(report)).text
    told = [case for case in report.cases if case.state in (State.FAIL, State.ERROR, State.KNOWN_FAIL)]
    assert len(told) == 5
    for case in told:
        assert case.reason in text
        assert case.example is None or case.example in text
        assert case.ledger is None or case.ledger in text


def test_everything_else_is_there(report: Report) -> None:
    text = Reader(page(report)).text
    wanted = [
        *report.bounds,
        *report.observations,
        *report.target.statements,
        *(obstacle for level in report.levels for obstacle in level.obstacles),
        *(case.title for case in report.cases),
        *(capability.algorithm for capability in report.capabilities),
        *report.run.calls,
        report.suite.catalogue_sha256,
        report.plugin.sha256 or "",
        report.run.id,
        str(report.run.seed),
        "1,394, and 31 keys made",
        "5 of 5 faulty backends found before the run",
        "keyclave conform acme-hsm --set slot=1 --set pin_file=pin --budget standard --report report --seed 20261125",
    ]
    assert [one for one in wanted if one not in text] == []


def test_each_state_is_a_word_and_not_only_a_colour(report: Report) -> None:
    names = [name for _, name, _ in STATES.values()]
    assert set(STATES) == set(State)
    assert len(set(names)) == len(names)
    classes = re.findall(r'<span class="state ([a-z-]+)">([^<]*)</span>', page(report))
    assert {name for _, name in classes} == {*names, "Earned", "Not earned"}


def test_a_report_without_failures_has_no_section_for_them(perfect: Report) -> None:
    made = page(perfect)
    for absent in ('id="failures"', 'href="#failures"', 'id="known"', 'id="unsupported"', 'id="not-run"'):
        assert absent not in made
    assert 'class="outcome won"' in made


def test_the_head_breaks_between_levels_and_commands_between_words(perfect: Report) -> None:
    made = page(perfect)
    assert "Core+<wbr>Sign+<wbr>Encrypt+<wbr>Wrap+<wbr>Rotate+<wbr>Durable+<wbr>Parallel" in made
    assert "pkcs11:token=acme;<wbr>serial=0042;<wbr>manufacturer=" in made
    assert "<span>--set</span> <span>pin_file=pin</span> <span>--budget</span>" in made


def test_what_weakens_a_report_is_said_at_its_head(report: Report) -> None:
    weak = replace(
        report,
        target=replace(report.target, evidence=Evidence.SIMULATOR, product=None),
        plugin=replace(report.plugin, distribution=None, version=None, sha256=None),
        run=replace(report.run, partial=True, path="object", command=()),
        zoo=replace(report.zoo, killed=4, survivors=("verifies_anything",)),
        levels=tuple(replace(level, earned=False) for level in report.levels),
        leftovers=("ct-3c91b0de-17",),
        bounds=(),
    )
    text = Reader(page(weak)).text
    for said in (
        "Evidence: simulator. The suite ran against a simulator: what the device itself does was not tested.",
        "Partial run. A filter, a deselection or the budget left checks out.",
        "The suite did not work on this machine.",
        "It missed faults that it had to find before the run: verifies_anything.",
        "Keys were left behind. 1 key could not be removed",
        "ct-3c91b0de-17",
        "acme-hsm, not installed",
        "unknown: it was not installed",
        "as an object with hooks, not as an installed plugin",
        "The run stated no bounds.",
        "cryptography==50.0.2 hypothesis==6.170.15\npython -m pytest\n",
    ):
        assert said in text


def test_the_page_needs_nothing_else(report: Report) -> None:
    reader = Reader(page(report))
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(reader.tags)
    links = {value for name, value in reader.attributes if name in ("href", "src", "action", "style")}
    assert links
    targets = {value for name, value in reader.attributes if name == "id"}
    assert links == {f"#{target}" for target in targets if f"#{target}" in links}
    style = (files(package) / "page.css").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|@font-face|gradient", style)


def test_the_policy_lets_the_browser_use_this_style_sheet_only(report: Report) -> None:
    made = page(report)
    style = made.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    assert ("content", policy) in Reader(made).attributes


@pytest.mark.parametrize("text", ATTACKS)
def test_attacks_are_shown_and_do_nothing(hostile: Callable[[str], Report], text: str) -> None:
    _require_harmless(hostile, text)


@given(text=st.text(st.characters(exclude_categories=())))
@settings(max_examples=60)
def test_any_text_is_shown_and_does_nothing(hostile: Callable[[str], Report], text: str) -> None:
    _require_harmless(hostile, text)


def _require_harmless(hostile: Callable[[str], Report], text: str) -> None:
    made = page(hostile(text))
    harmless, reader = Reader(page(hostile("harmless"))), Reader(made)
    assert set(reader.tags) <= set(harmless.tags) | {"code", "wbr"}
    assert {name for name, _ in reader.attributes} <= {name for name, _ in harmless.attributes}
    assert {value for name, value in reader.attributes if name == "href"} == {
        value for name, value in harmless.attributes if name == "href"
    }
    assert made.replace("\n", "").isprintable()
    if text.strip() and "\n" not in text:
        assert line(text) in reader.text


def test_a_name_from_a_plugin_does_not_leave_its_quotes_in_the_commands(hostile: Callable[[str], Report]) -> None:
    text = Reader(page(hostile("x'; rm -rf ~ #"))).text
    assert """keyclave conform 'x'"'"'; rm -rf ~ #'""" in text


def test_the_matrix_groups_schemes_under_their_algorithm(report: Report) -> None:
    made = matrix(report)
    rows = [(row.algorithm, row.scheme) for row in made.rows]
    assert rows[:3] == [("RSA_2048", ""), ("RSA_2048", "RSA_PSS_SHA256"), ("RSA_2048", "RSA_PSS_SHA384")]
    assert [algorithm for algorithm, scheme in rows if not scheme] == list(dict.fromkeys(name for name, _ in rows))
    assert len(rows) == len({case.subject for case in report.cases if case.subject})
    assert sum(cell.total for row in made.rows for cell in row.cells) + sum(cell.total for cell in made.whole) == len(
        report.cases
    )


def test_a_cell_shows_the_worst_state(report: Report) -> None:
    made = matrix(report)
    row = next(row for row in made.rows if row.scheme == "ECDSA_SHA384")
    cell = row.cells[made.groups.index(Group.SIGN)]
    assert (cell.state, cell.number, cell.total) == (State.FAIL, 1, 8)
    assert row.cells[made.groups.index(Group.WRAP)].state is None


def _palettes() -> dict[str, dict[str, str]]:
    style = (files(package) / "page.css").read_text(encoding="utf-8")
    found = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    return {
        name: dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
        for name, block in zip(("light", "dark", "print"), found, strict=True)
    }


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", ["light", "dark", "print"])
def test_every_text_has_the_contrast_of_wcag_aa(palette: str) -> None:
    colours = _palettes()[palette]
    texts = ("text", "quiet", "link", "pass", "fail", "error", "known")
    low = [
        (text, ground)
        for text in texts
        for ground in ("ground", "panel")
        if _contrast(colours[text], colours[ground]) < 4.5
    ]
    assert low == []


def test_the_badge_has_the_contrast_of_wcag_aa() -> None:
    assert min(_contrast("#ffffff", colour) for colour in ("#3d444d", "#17653a", "#5c4a12")) > 6
