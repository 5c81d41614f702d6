"""Zeros after the end of a PKCS#8 key, and nothing else, are cut off."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from keyclave.crypto.padded_keys import without_padding
from pydantic import SecretBytes


def encode(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


KEYS = {
    "ed25519": encode(ed25519.Ed25519PrivateKey.generate()),
    "p256": encode(ec.generate_private_key(ec.SECP256R1())),
    "p384": encode(ec.generate_private_key(ec.SECP384R1())),
    "rsa": encode(rsa.generate_private_key(65537, 2048)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_zeros_up_to_a_multiple_of_eight_are_cut_off(key: bytes) -> None:
    padded = key + bytes(-len(key) % 8)
    assert without_padding(SecretBytes(padded)).get_secret_value() == key


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("extra", [b"\x01", b"\0" * 8, b"\0" * 16, b"\0\0\0\0\0\0\0\x01"])
def test_anything_else_after_the_end_stays(key: bytes, extra: bytes) -> None:
    longer = key + bytes(-len(key) % 8) + extra
    assert without_padding(SecretBytes(longer)).get_secret_value() == longer


@pytest.mark.parametrize("other", [b"", b"\x30", b"\x30\x80", b"\x30\x84\xff", bytes(32), b"\x30\x82\x00"])
def test_what_is_no_encoding_stays(other: bytes) -> None:
    assert without_padding(SecretBytes(other)).get_secret_value() == other
