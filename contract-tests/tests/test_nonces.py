"""Nonces are computed from signatures of a known key."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from keyclave_contract_tests.nonces import bits_set, nonce_of

KEY = ec.generate_private_key(ec.SECP256R1())
ORDER = KEY.curve.group_order


def signed_with(nonce: int, message: bytes) -> bytes:
    r = ec.derive_private_key(nonce, KEY.curve).public_key().public_numbers().x % ORDER
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    value = digest + r * KEY.private_numbers().private_value
    return encode_dss_signature(r, pow(nonce, -1, ORDER) * value % ORDER)


@pytest.mark.parametrize("nonce", [1, 2**128 - 1, ORDER - 1])
def test_the_nonce_of_a_signature_is_found(nonce: int) -> None:
    signature = signed_with(nonce, b"message")
    KEY.public_key().verify(signature, b"message", ec.ECDSA(hashes.SHA256()))
    assert nonce_of(KEY, "ECDSA_SHA256", b"message", signature) == nonce


def test_a_signer_that_negates_s_gives_the_negative() -> None:
    r, s = decode_dss_signature(signed_with(7, b"message"))
    assert nonce_of(KEY, "ECDSA_SHA256", b"message", encode_dss_signature(r, ORDER - s)) == ORDER - 7


def test_signatures_of_another_key_or_message_have_none() -> None:
    foreign = ec.generate_private_key(ec.SECP256R1()).sign(b"message", ec.ECDSA(hashes.SHA256()))
    assert nonce_of(KEY, "ECDSA_SHA256", b"message", foreign) is None
    assert nonce_of(KEY, "ECDSA_SHA256", b"another", signed_with(7, b"message")) is None


def test_bits_are_counted_from_the_lowest() -> None:
    assert bits_set([0b001, 0b011, 0b111], 4) == [3, 2, 1, 0]
