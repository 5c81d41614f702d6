"""Ciphertexts of an AES-256 key: version byte 1, nonce of 12 random bytes, AES-256-GCM ciphertext, tag of 16 bytes.

Random nonces are safe for 2^32 messages under one key (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.errors import DecryptionFailed, InvalidArgument

from keyclave_software.limits import MAX_PLAINTEXT

__all__ = ["FORM", "decrypt", "encrypt"]

FORM = "software-1"
"""The name of this form, which no other backend has."""

_VERSION = b"\x01"
_NONCE, _TAG = 12, 16
_START = len(_VERSION) + _NONCE


def encrypt(cipher: AESGCM, plaintext: bytes, aad: bytes) -> bytes:
    """Return the ciphertext; raise ``InvalidArgument`` for a plaintext of more than 64 KiB."""
    if len(plaintext) > MAX_PLAINTEXT:
        raise InvalidArgument(f"the plaintext has more than {MAX_PLAINTEXT} bytes")
    nonce = os.urandom(_NONCE)
    return _VERSION + nonce + cipher.encrypt(nonce, plaintext, aad)


def decrypt(cipher: AESGCM, ciphertext: bytes, aad: bytes) -> bytes:
    """Return the plaintext; raise ``DecryptionFailed`` for whatever `encrypt` did not return for this ``aad``."""
    if ciphertext[:1] == _VERSION and _START + _TAG <= len(ciphertext) <= _START + MAX_PLAINTEXT + _TAG:
        try:
            return cipher.decrypt(ciphertext[1:_START], ciphertext[_START:], aad)
        except InvalidTag:
            pass
    raise DecryptionFailed("ciphertext, key and associated data do not belong together")
