"""AES-256-GCM with a key in the token: version byte 1, nonce of 12 random bytes, ciphertext, tag of 16 bytes.

The version byte is associated data too, before that of the caller, so that it is never empty: SoftHSM before 2.6
crashes without any. Random nonces are safe for 2^32 messages under one key (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

import os
from typing import Any

from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import GCMParams, Mechanism

__all__ = ["FORM", "MAX_PLAINTEXT", "decrypt", "encrypt", "is_whole", "works"]

FORM = "pkcs11-hsm-1"
"""The name of this form: every token has it."""
MAX_PLAINTEXT = 4096
"""Longest plaintext, which is meant to be a data key."""
_VERSION = b"\x01"
_NONCE, _TAG = 12, 16
_START = len(_VERSION) + _NONCE


def encrypt(key: Any, plaintext: bytes, aad: bytes) -> bytes:
    """Return the ciphertext."""
    nonce = os.urandom(_NONCE)
    ciphertext: bytes = key.encrypt(
        plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, _VERSION + aad, _TAG * 8)
    )
    return _VERSION + nonce + ciphertext


def decrypt(key: Any, ciphertext: bytes, aad: bytes) -> bytes:
    """Return the plaintext of a ciphertext that `is_whole`."""
    parameters = GCMParams(ciphertext[len(_VERSION) : _START], _VERSION + aad, _TAG * 8)
    plaintext: bytes = key.decrypt(ciphertext[_START:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    return plaintext


def is_whole(ciphertext: bytes) -> bool:
    """Return whether something has the form that `encrypt` gives."""
    return ciphertext[:1] == _VERSION and 0 <= len(ciphertext) - _START - _TAG <= MAX_PLAINTEXT


def works(key: Any) -> bool:
    """Return whether a key decrypts what it encrypts, into something of the right length in between."""
    try:
        ciphertext = encrypt(key, _VERSION, _VERSION)
        return len(ciphertext) == _START + 1 + _TAG and decrypt(key, ciphertext, _VERSION) == _VERSION
    except PKCS11Error:
        return False
