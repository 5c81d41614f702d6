from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from keyclave.crypto.encodings import der_to_p1363, p1363_to_der
from keyclave.errors import InvalidArgument, VerificationError

from core.tests.crypto.der import GOOD, MALFORMED, integer, sequence, side_by_side

ORDERS = {
    32: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    48: int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
}


@st.composite
def numbers(draw: st.DrawFn) -> tuple[int, int, int]:
    """A coordinate size with r and s, which often have leading zero bytes."""
    size = draw(st.sampled_from(sorted(ORDERS)))
    number = st.integers(1, size).flatmap(lambda length: st.integers(1, min(256**length, ORDERS[size]) - 1))
    return size, draw(number), draw(number)


@given(numbers())
@settings(max_examples=50)
def test_both_encodings_say_the_same(case: tuple[int, int, int]) -> None:
    size, r, s = case
    der, raw = sequence(integer(r), integer(s)), side_by_side(size, r, s)
    assert p1363_to_der(raw, size) == der
    assert der_to_p1363(der, size) == raw


@pytest.mark.parametrize("size", ORDERS)
def test_a_number_of_one_byte_is_padded_to_the_size_of_a_coordinate(size: int) -> None:
    raw = der_to_p1363(sequence(integer(1), integer(128)), size)
    assert raw == bytes(size - 1) + b"\x01" + bytes(size - 1) + b"\x80"


@given(st.binary(max_size=110))
@settings(max_examples=50)
def test_der_that_is_accepted_has_one_form(signature: bytes) -> None:
    for size in ORDERS:
        try:
            raw = der_to_p1363(signature, size)
        except VerificationError:
            continue
        assert p1363_to_der(raw, size) == signature


@given(st.binary(min_size=64, max_size=64))
@settings(max_examples=50)
def test_every_64_bytes_are_converted_there_and_back(raw: bytes) -> None:
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    if 0 < r < ORDERS[32] and 0 < s < ORDERS[32]:
        assert der_to_p1363(p1363_to_der(raw, 32), 32) == raw
    else:
        with pytest.raises(VerificationError, match="out of range"):
            p1363_to_der(raw, 32)


def test_pyjwt_reads_and_writes_the_same_p1363(private_key: Callable[..., Any]) -> None:
    key = private_key("ECDSA_P256")
    token = jwt.encode({"sub": "x"}, key, algorithm="ES256")
    signed, _, signature = token.rpartition(".")
    der = p1363_to_der(jwt.utils.base64url_decode(signature), 32)
    key.public_key().verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    again = der_to_p1363(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())), 32)
    assert jwt.decode(f"{signed}.{jwt.utils.base64url_encode(again).decode()}", key.public_key(), ["ES256"])


@pytest.mark.parametrize("signature", MALFORMED.values(), ids=MALFORMED)
def test_der_that_is_not_strict_is_refused(signature: bytes) -> None:
    assert der_to_p1363(GOOD, 32) == side_by_side(32, 1, 2)
    with pytest.raises(VerificationError, match="not a DER") as caught:
        der_to_p1363(signature, 32)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("size", ORDERS)
@pytest.mark.parametrize("position", ["r", "s"])
def test_numbers_out_of_range_are_refused(size: int, position: str) -> None:
    for refused in (0, ORDERS[size], ORDERS[size] + 1, 256**size - 1):
        r, s = (refused, 1) if position == "r" else (1, refused)
        with pytest.raises(VerificationError, match="out of range"):
            p1363_to_der(side_by_side(size, r, s), size)
        with pytest.raises(VerificationError, match="out of range"):
            der_to_p1363(encode_dss_signature(r, s), size)
    largest = ORDERS[size] - 1
    assert p1363_to_der(side_by_side(size, largest, largest), size)


@pytest.mark.parametrize("length", [0, 62, 63, 65, 66, 96])
def test_a_p1363_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(VerificationError, match="64 bytes"):
        p1363_to_der(b"\x01" * length, 32)


@pytest.mark.parametrize("size", [0, 20, 33, 66, None])
def test_a_curve_that_is_not_registered_is_refused(size: Any) -> None:
    for convert in (p1363_to_der, der_to_p1363):
        with pytest.raises(InvalidArgument, match="no curve"):
            convert(GOOD, size)
