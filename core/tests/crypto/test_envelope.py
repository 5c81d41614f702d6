"""What is encrypted comes back, whatever its size and form."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyclave.crypto.envelope import (
    EnvelopeHeader,
    decrypt_bytes,
    encrypt_bytes,
    encrypt_stream,
    parse_header,
)
from keyclave.crypto.envelope_segments import segment_nonce
from keyclave.errors import BackendError, InvalidArgument
from pydantic import SecretBytes

from core.tests.crypto.envelopes import (
    KEY_ID,
    MIB,
    Backend,
    Careless,
    Open,
    from_bytes,
    from_stream,
    raiser,
    seal,
)


@pytest.fixture(params=[from_bytes, from_stream], ids=["bytes", "stream"])
def opened(request: pytest.FixtureRequest) -> Open:
    way: Open = request.param
    return way


@pytest.mark.parametrize("size", [0, 1, 1000, MIB - 1, MIB, MIB + 1, 2 * MIB - 16, 2 * MIB, 2 * MIB + 1])
@pytest.mark.parametrize("aad", [None, b"", b"associated"])
def test_every_size_comes_back(opened: Open, size: int, aad: bytes | None) -> None:
    backend, plaintext = Backend(), os.urandom(size)
    target = io.BytesIO()
    encrypt_stream(io.BytesIO(plaintext), target, key_id=KEY_ID, version=2, wrap_data_key=backend.wrap, aad=aad)
    assert opened(backend, target.getvalue(), aad) == plaintext
    assert opened(backend, seal(backend, plaintext, aad), aad) == plaintext


@settings(max_examples=50)
@given(st.binary(max_size=300), st.binary(max_size=50), st.sampled_from([from_bytes, from_stream]))
def test_any_message_comes_back(plaintext: bytes, aad: bytes, opened: Open) -> None:
    backend = Backend()
    assert opened(backend, seal(backend, plaintext, aad), aad) == plaintext


def test_two_envelopes_of_one_message_share_nothing_random() -> None:
    backend = Careless()
    first, second = seal(backend, b"message"), seal(backend, b"message")
    one, other = parse_header(first), parse_header(second)
    assert one.salt != other.salt
    assert one.nonce_prefix != other.nonce_prefix
    assert one.commitment != other.commitment
    assert first[one.size :] != second[other.size :]


def test_each_message_has_a_data_key_of_its_own() -> None:
    keys = []

    def wrap(data_key: SecretBytes, _context: bytes) -> bytes:
        keys.append(data_key.get_secret_value())
        return b"wrapped"

    for _ in range(2):
        encrypt_bytes(b"", key_id=KEY_ID, version=1, wrap_data_key=wrap)
    assert keys[0] != keys[1]
    assert {len(key) for key in keys} == {32}


def test_the_header_names_key_version_and_suite() -> None:
    header = parse_header(seal(Backend(), b"message"))
    assert (header.key_id, header.version, header.suite) == (KEY_ID, 2, "AES_256_GCM_HKDF_SHA256_1MIB")
    assert header.context == b"KCE1\x01" + KEY_ID.bytes + bytes([0, 0, 0, 2])


@pytest.mark.parametrize("size", [1, 8192])
def test_wrapped_keys_of_all_sizes_fit(size: int, opened: Open) -> None:
    backend = Careless()

    def wrap(data_key: SecretBytes, context: bytes) -> bytes:
        backend.wrap(data_key, context)
        return bytes(size)

    envelope = encrypt_bytes(b"message", key_id=KEY_ID, version=1, wrap_data_key=wrap)
    assert opened(backend, envelope) == b"message"


@pytest.mark.parametrize("wrapped", [b"", bytes(8193), None, "text"])
def test_a_wrapped_key_that_does_not_fit_is_refused(wrapped: Any) -> None:
    target = io.BytesIO()
    with pytest.raises(BackendError, match="wrapped key"):
        encrypt_stream(io.BytesIO(), target, key_id=KEY_ID, version=1, wrap_data_key=lambda *_: wrapped)
    assert target.getvalue() == b""


def test_bytes_like_messages_and_associated_data_are_taken() -> None:
    backend = Backend()
    every_second = memoryview(b"m-e-s-s-a-g-e-")[::2]
    for plaintext in (b"message", bytearray(b"message"), memoryview(b"message"), every_second):
        envelope = seal(backend, plaintext, bytearray(b"aad"))  # type: ignore[arg-type]  # bytes-like is taken
        assert from_bytes(backend, memoryview(envelope), memoryview(b"aad")) == b"message"  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("wrong", ["text", 0, 7, [], None])
def test_only_bytes_are_taken(wrong: Any) -> None:
    backend = Backend()
    envelope = seal(backend, b"message")
    with pytest.raises(InvalidArgument, match="plaintext must be bytes"):
        seal(backend, wrong)
    with pytest.raises(InvalidArgument, match="ciphertext must be bytes"):
        parse_header(wrong)
    with pytest.raises(InvalidArgument, match="ciphertext must be bytes"):
        decrypt_bytes(wrong, parse_header(envelope), unwrap_data_key=backend.unwrap)
    if wrong is not None:
        with pytest.raises(InvalidArgument, match="associated data must be bytes"):
            seal(backend, b"", wrong)
        with pytest.raises(InvalidArgument, match="associated data must be bytes"):
            from_bytes(backend, envelope, wrong)


@pytest.mark.parametrize(
    ("key_id", "version"), [(str(KEY_ID), 1), (None, 1), (KEY_ID, 0), (KEY_ID, -1), (KEY_ID, 1 << 32), (KEY_ID, "1")]
)
def test_impossible_keys_are_refused_before_anything_is_wrapped(key_id: Any, version: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"key id|key version"):
        encrypt_bytes(b"", key_id=key_id, version=version, wrap_data_key=raiser(AssertionError("wrapped")))


def test_the_counter_of_segments_does_not_wrap_round() -> None:
    assert segment_nonce(b"prefix!", (1 << 32) - 1, last=True) == b"prefix!\xff\xff\xff\xff\x01"
    assert segment_nonce(b"prefix!", 1, last=False) == b"prefix!\x00\x00\x00\x01\x00"
    with pytest.raises(InvalidArgument, match="4 PiB"):
        segment_nonce(b"prefix!", 1 << 32, last=False)


def test_the_header_is_a_frozen_record() -> None:
    header = parse_header(seal(Backend(), b""))
    assert isinstance(header, EnvelopeHeader)
    with pytest.raises(AttributeError):
        header.version = 3  # type: ignore[misc]  # that it cannot be set is the point
