"""Secrets are found in every form that programs write them in, and not where they are not."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyclave_contract_tests.leaks import leaked

SECRET = bytes(range(100, 132))
FORMS = {
    "raw": SECRET,
    "repr": repr(SECRET),
    "list": str(list(SECRET)),
    "hex": SECRET.hex(),
    "upper hex": SECRET.hex().upper(),
    "hex with colons": SECRET.hex(":"),
    "base64": base64.b64encode(SECRET).decode(),
    "base64 one byte later": base64.b64encode(b"x" + SECRET).decode(),
    "base64 two bytes later": base64.b64encode(b"xy" + SECRET + b"z").decode(),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET).decode(),
    "PEM": base64.encodebytes(b"header" * 5 + SECRET + b"trailer" * 5).decode(),
    "PEM in a repr": repr(base64.encodebytes(b"header" * 5 + SECRET + b"trailer" * 5)),
    "base32": base64.b32encode(b"x" + SECRET).decode(),
    "decimal": str(int.from_bytes(SECRET, "big")),
    "little-endian decimal": str(int.from_bytes(SECRET, "little")),
    "reversed": SECRET[::-1],
    "cut": SECRET[:20].hex(),
    "the end": SECRET[12:].hex(),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found(form: str) -> None:
    text = FORMS[form]
    around = b"before " + text + b" after" if isinstance(text, bytes) else f"before {text} after"
    assert leaked(SECRET, around) is not None


@given(st.binary(max_size=2000))
def test_other_content_is_not_taken_for_the_secret(content: bytes) -> None:
    assert leaked(b"\xf3\x91" + os.urandom(30), content) is None


def test_a_short_secret_is_found_and_too_short_a_one_is_refused() -> None:
    assert leaked(b"918273", "PIN 918273") == "as it is"
    assert leaked(b"918273", "PIN 918274") is None
    with pytest.raises(ValueError, match="too short"):
        leaked(b"1234", "1234")


def test_text_that_is_no_unicode_is_searched() -> None:
    assert leaked(SECRET, "\ud800" + SECRET.hex()) == "in hexadecimal"
