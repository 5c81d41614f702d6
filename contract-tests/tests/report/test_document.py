"""A report comes back from JSON as it was, and what is no report is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyclave.errors import ConfigurationError
from keyclave_contract_tests.report import schema
from keyclave_contract_tests.report.document import decode, encode, read
from keyclave_contract_tests.report.text import bounded
from keyclave_contract_tests.results import Report

PUBLISHED = Path(__file__).parents[3] / "docs/reference/contract-report.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(schema.schema())


def _edited(report: Report, change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(encode(report))
    change(document)
    return json.dumps(document).encode()


def test_a_report_comes_back(report: Report) -> None:
    content = encode(report)
    assert decode(content) == report
    assert encode(decode(content)) == content
    assert content.startswith(b'{\n  "schema": 1,\n')


@given(text=st.text(st.characters(exclude_categories=())))
def test_a_report_with_any_text_comes_back_and_fits_the_schema(hostile: Callable[[str], Report], text: str) -> None:
    content = encode(hostile(text))
    assert decode(content) == bounded(hostile(text))
    assert encode(decode(content)) == content
    VALIDATOR.validate(json.loads(content))


@pytest.mark.parametrize("character", ["\x1b", "\x7f", "\x85", "\u200b", "\u202e", "\u2066", "\ufeff", "\U000e0041"])
def test_characters_that_deceive_are_escaped_in_the_file(hostile: Callable[[str], Report], character: str) -> None:
    content = encode(hostile(f"Schlüssel 鍵 a{character}b")).decode()
    assert content.replace("\n", "").isprintable()
    assert "Schlüssel 鍵 a\\u" in content
    assert decode(content.encode()).cases[0].reason == f"Schlüssel 鍵 a{character}b"


def test_the_order_of_the_calls_does_not_matter(report: Report) -> None:
    other = decode(
        _edited(
            report, lambda document: document["run"].update(calls=dict(reversed(document["run"]["calls"].items())))
        )
    )
    assert encode(other) == encode(report)


def test_a_field_of_a_later_version_is_passed_over(report: Report) -> None:
    assert decode(_edited(report, lambda document: document["run"].update(later=1))) == report


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda document: document.update(schema=2), "its schema is 2, and this version of the suite reads schema 1"),
        (lambda document: document.pop("schema"), "missing required field `schema`"),
        (lambda document: document["suite"].pop("contract"), r"missing required field `contract` - at `\$.suite`"),
        (lambda document: document["cases"][0].update(state="FINE"), r"'FINE' - at `\$.cases\[0\].state`"),
        (lambda document: document["run"].update(started="2026-11-25T14:03:07"), "has no time zone"),
        (lambda document: document["run"].update(keys="many"), r"Expected `int`, got `str` - at `\$.run.keys`"),
    ],
)
def test_what_is_no_report_is_refused(
    report: Report, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        decode(_edited(report, change))
    assert "contract-report.json" in caught.value.next_step


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"schema": "\x1b"}', b'{"schema": 1, "x": "\xff"}'])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="the contract report cannot be read") as caught:
        decode(content)
    assert str(caught.value).isprintable()


def test_a_file_is_read(report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(encode(report))
    assert read(tmp_path / "report.json") == report


def test_a_file_that_is_missing_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read(tmp_path / "none.json")
    with (tmp_path / "long.json").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(ConfigurationError, match="longer than 67108864 bytes"):
        read(tmp_path / "long.json")


def test_the_published_schema_is_current() -> None:
    current = PUBLISHED.read_text(encoding="utf-8") == schema.text()
    assert current, "write it anew: python contract-tests/scripts/make_schema.py"


def test_the_schema_is_one_and_says_what_everything_is() -> None:
    made = schema.schema()
    jsonschema.Draft202012Validator.check_schema(made)
    for definition in made["$defs"].values():
        assert definition["description"]
        assert all(field["description"] for field in definition.get("properties", {}).values())
    assert "KNOWN-FAIL: it failed as the ledger" in made["$defs"]["State"]["description"]


def test_the_schema_takes_reports_and_nothing_else(report: Report) -> None:
    VALIDATOR.validate(json.loads(encode(report)))
    for change in (
        lambda document: document.update(schema=2),
        lambda document: document.pop("zoo"),
        lambda document: document["cases"][0].update(state="FINE"),
        lambda document: document["levels"][0].update(earned="yes"),
    ):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(json.loads(_edited(report, change)))
