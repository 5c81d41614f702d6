"""Backends that wrap data keys, and the two ways to open an envelope."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.crypto.envelope import decrypt_bytes, decrypt_stream, encrypt_bytes, parse_header, read_header
from keyclave.errors import DecryptionFailed
from pydantic import SecretBytes

MIB = 1 << 20
SEALED = MIB + 16
KEY_ID = UUID("0190d7a4-5f1e-7c3b-9a2d-1f2e3d4c5b6a")
UNIFORM = "the ciphertext cannot be decrypted"
Open = Callable[..., bytes]


class Backend:
    """A key that wraps as backends do: AES-256-GCM with the context as associated data."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(256))

    def wrap(self, data_key: SecretBytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, data_key.get_secret_value(), context)

    def unwrap(self, wrapped: bytes, context: bytes) -> SecretBytes:
        try:
            return SecretBytes(self._cipher.decrypt(wrapped[:12], wrapped[12:], context))
        except InvalidTag:
            raise DecryptionFailed("the backend says that the data key is not authentic") from None


class Careless(Backend):
    """One that binds no context and looks at nothing: what the envelope must not rely on."""

    def wrap(self, data_key: SecretBytes, _context: bytes) -> bytes:
        self.data_key = data_key
        return b"wrapped"

    def unwrap(self, _wrapped: bytes, _context: bytes) -> SecretBytes:
        return self.data_key


def seal(backend: Backend, plaintext: bytes, aad: bytes | None = None) -> bytes:
    return encrypt_bytes(plaintext, key_id=KEY_ID, version=2, wrap_data_key=backend.wrap, aad=aad)


def from_bytes(backend: Backend, envelope: bytes, aad: bytes | None = None) -> bytes:
    return decrypt_bytes(envelope, parse_header(envelope), unwrap_data_key=backend.unwrap, aad=aad)


def from_stream(backend: Backend, envelope: bytes, aad: bytes | None = None) -> bytes:
    source, target = io.BytesIO(envelope), io.BytesIO()
    decrypt_stream(source, target, read_header(source), unwrap_data_key=backend.unwrap, aad=aad)
    return target.getvalue()


def refuses(opened: Open, backend: Backend, envelope: bytes, aad: bytes | None = None) -> None:
    with pytest.raises(DecryptionFailed) as caught:
        opened(backend, envelope, aad)
    assert (str(caught.value), caught.value.__cause__, caught.value.__context__) == (UNIFORM, None, None)


def three_segments() -> tuple[Careless, bytes, list[bytes]]:
    backend = Careless()
    envelope = seal(backend, os.urandom(2 * MIB + 100))
    body = envelope[parse_header(envelope).size :]
    return backend, envelope[: -len(body)], [body[:SEALED], body[SEALED : 2 * SEALED], body[2 * SEALED :]]


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def raiser(error: BaseException) -> Callable[..., Any]:
    def refuse(*_: object) -> Any:
        raise error

    return refuse
