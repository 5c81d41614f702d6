"""Keys on their way in and out, wrapped and unwrapped by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, ImportTicket, WrappedKey
from keyclave_software.backend import SoftwareBackend

OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)


def pkcs8(key: Any) -> bytes:
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert isinstance(encoded, bytes)
    return encoded


def spki(key: Any) -> bytes:
    encoded = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert isinstance(encoded, bytes)
    return encoded


def wrap(ticket: ImportTicket, secret: bytes) -> WrappedKey:
    """Written out by hand, as another maker's device would do it."""
    wrapping_key = load_der_public_key(ticket.wrapping_public_key)
    assert isinstance(wrapping_key, rsa.RSAPublicKey)
    kek = AESGCM.generate_key(256)
    blob = wrapping_key.encrypt(kek, OAEP) + keywrap.aes_key_wrap_with_padding(kek, secret)
    return WrappedKey(method=RSA_AES_KEY_WRAP_SHA256, blob=blob)


def unwrap(wrapped: WrappedKey, wrapping_key: rsa.RSAPrivateKey) -> bytes:
    size = wrapping_key.key_size // 8
    return keywrap.aes_key_unwrap_with_padding(wrapping_key.decrypt(wrapped.blob[:size], OAEP), wrapped.blob[size:])


def is_empty(backend: SoftwareBackend, data_directory: Path) -> bool:
    names = {path.name for path in data_directory.iterdir()}
    return not backend.list_keys(page=None).keys and names <= {"keystore.json", "keystore.lock", "master.key"}
