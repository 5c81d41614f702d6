"""A secret is found in every form that programs write bytes in, and nothing is found that is not there."""

from __future__ import annotations

import base64
import json
from typing import Literal

import pytest
from keyclave_contract_tests.leaks import SHORTEST, leaked, leaked_as_number

SECRET = bytes(range(101, 133))
ENCODED = b"header" + SECRET + b"what everybody may know"
FORMS = {
    "as it is": SECRET,
    "escaped": repr({"key": SECRET}),
    "in hexadecimal": f"key={SECRET.hex()}",
    "in hexadecimal, in capitals": SECRET.hex().upper(),
    "in hexadecimal with colons": SECRET.hex(":"),
    "in hexadecimal, on several lines": SECRET.hex("\n", 8),
    "as a list of numbers": repr(list(SECRET)),
    "in base64": base64.b64encode(SECRET),
    "in base64, one byte later": base64.b64encode(b"x" + SECRET),
    "in base64, two bytes later": base64.b64encode(b"xy" + SECRET + b"z"),
    "in base64 for URLs": base64.urlsafe_b64encode(SECRET),
    "in base32": base64.b32encode(b"xyz" + SECRET),
    "in PEM": base64.encodebytes(b"header" + SECRET).replace(b"\n", b"\\n"),
    "as a decimal number": str(int.from_bytes(SECRET, "big")),
    "as a decimal number, reversed": str(int.from_bytes(SECRET, "little")),
    "as text": f"key={SECRET.decode('latin-1')}",
    "in JSON": json.dumps({"key": SECRET.decode("latin-1")}),
    "escaped twice": repr([repr(SECRET)]),
    "reversed": SECRET[::-1].hex(),
    "the first half": SECRET[:16].hex(),
    "the second half": SECRET[16:],
}


@pytest.mark.parametrize("found", FORMS.values(), ids=FORMS)
def test_a_secret_is_found_in_every_form(found: bytes | str) -> None:
    assert leaked(SECRET, found) is not None


@pytest.mark.parametrize("found", ["", SECRET[:15].hex(), SECRET[1:16], "the key of version 1", bytes(100)])
def test_what_is_no_secret_is_not_found(found: bytes | str) -> None:
    assert leaked(SECRET, found) is None


def test_a_long_secret_is_found() -> None:
    secret = SECRET * 1000
    assert leaked(secret, secret.hex()) == "in hexadecimal"
    assert leaked(secret, SECRET) is None


@pytest.mark.parametrize("order", ["big", "little"])
def test_a_whole_encoding_is_found_as_a_number(order: Literal["big", "little"]) -> None:
    found = f"imported {int.from_bytes(ENCODED, order)}"
    assert leaked(SECRET, found) is None
    assert leaked_as_number(ENCODED, found) is not None
    assert leaked_as_number(ENCODED, ENCODED[38:].hex()) is None


def test_a_secret_that_chance_could_write_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        leaked(bytes(SHORTEST - 1), "text")
