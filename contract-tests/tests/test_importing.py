"""Keys are wrapped by the suite as Keyclave wraps and unwraps them."""

from __future__ import annotations

from keyclave.crypto.wrapping import unwrap_key, wrap_key
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256
from keyclave_contract_tests.importing import unwrapped, wrapped
from keyclave_contract_tests.wrapping_keys import wrapping_key, wrapping_spki
from pydantic import SecretBytes

SECRET = b"a secret of 29 bytes, exactly"


def test_what_the_suite_wraps_keyclave_unwraps() -> None:
    blob = wrapped(SECRET, wrapping_spki())
    assert unwrap_key(blob, wrapping_key(), RSA_AES_KEY_WRAP_SHA256).get_secret_value() == SECRET


def test_what_keyclave_wraps_the_suite_unwraps() -> None:
    blob = wrap_key(SecretBytes(SECRET), wrapping_spki(), RSA_AES_KEY_WRAP_SHA256)
    assert unwrapped(blob, wrapping_key()) == SECRET


def test_what_was_changed_is_not_unwrapped() -> None:
    blob = wrapped(SECRET, wrapping_spki())
    assert unwrapped(blob[:-1] + bytes([blob[-1] ^ 1]), wrapping_key()) is None
    assert unwrapped(bytes([blob[0] ^ 1]) + blob[1:], wrapping_key()) is None


def test_a_wrapping_key_is_made_once() -> None:
    assert wrapping_key() is wrapping_key(3072)
