"""Keys are wrapped by the suite as Keyclave wraps and unwraps them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from keyclave.crypto.wrapping import unwrap_key, wrap_key
from keyclave.plugin import ImportKeyRequest, ImportTicket, WrappedKey
from keyclave_contract_tests.importing import OAEP, unwrapped, wrapped
from keyclave_contract_tests.labels import Labels
from keyclave_contract_tests.wrapping_keys import wrapping_key, wrapping_spki
from pydantic import SecretBytes

SECRET = b"a secret of 29 bytes, exactly"


def ticket(method: str) -> ImportTicket:
    return ImportTicket(
        ticket_id="1",
        request=ImportKeyRequest(label=Labels("0a1b2c3d").new(), algorithm="AES_256", exportable=False),
        method=method,
        wrapping_public_key=wrapping_spki(),
        expires_at=datetime.now(UTC),
    )


@pytest.mark.parametrize("method", OAEP)
def test_what_the_suite_wraps_keyclave_unwraps(method: str) -> None:
    blob = wrapped(SECRET, ticket(method))
    assert unwrap_key(blob, wrapping_key(), method).get_secret_value() == SECRET


@pytest.mark.parametrize("method", OAEP)
def test_what_keyclave_wraps_the_suite_unwraps(method: str) -> None:
    blob = wrap_key(SecretBytes(SECRET), wrapping_spki(), method)
    assert unwrapped(WrappedKey(method=method, blob=blob), wrapping_key()) == SECRET


@pytest.mark.parametrize("method", OAEP)
def test_what_was_changed_is_not_unwrapped(method: str) -> None:
    blob = wrapped(SECRET, ticket(method))
    for changed in (blob[:-1] + bytes([blob[-1] ^ 1]), bytes([blob[0] ^ 1]) + blob[1:]):
        assert unwrapped(WrappedKey(method=method, blob=changed), wrapping_key()) is None


def test_a_wrapping_key_is_made_once() -> None:
    assert wrapping_key() is wrapping_key(3072)
