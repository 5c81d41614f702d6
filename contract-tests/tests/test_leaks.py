"""A secret is found in every form that programs write bytes in, and nothing is found that is not there."""

from __future__ import annotations

import base64

import pytest
from keyclave_contract_tests.leaks import SHORTEST, leaked

SECRET = bytes(range(101, 133))
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


def test_a_secret_that_chance_could_write_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        leaked(bytes(SHORTEST - 1), "text")
