"""Ciphertexts of an AES key in the token: version byte 1, nonce of 12 random bytes, AES-256-GCM ciphertext, tag of 16 bytes.

The version byte is associated data too, before that of the caller, so that it is never empty: SoftHSM before 2.6
crashes without any. Random nonces are safe for 2^32 messages under one key (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

import os
from typing import Any

from keyclave.errors import CapabilityUnsupported, DecryptionFailed, InvalidArgument
from keyclave.models import get_algorithm
from keyclave.plugin import KeyReference
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import GCMParams, KeyType, Mechanism

from keyclave_pkcs11_hsm.errors import ckr_name, is_lost, is_stale
from keyclave_pkcs11_hsm.objects import find_referenced
from keyclave_pkcs11_hsm.sessions import Session, SessionPool

__all__ = ["MAX_PLAINTEXT", "Encryption", "can_encrypt"]

MAX_PLAINTEXT = 4096
"""Longest plaintext for ``encrypt``, which is meant for data keys."""
_VERSION = b"\x01"
_NONCE, _TAG = 12, 16
_START = len(_VERSION) + _NONCE
_WRONG = ("ENCRYPTED_DATA_INVALID", "ENCRYPTED_DATA_LEN_RANGE")


class Encryption:
    """Encrypts and decrypts with AES keys in the token."""

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool

    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> bytes:
        """Return the ciphertext; raise ``InvalidArgument`` for a plaintext of more than 4096 bytes."""
        if len(plaintext) > MAX_PLAINTEXT:
            raise InvalidArgument(f"the plaintext has more than {MAX_PLAINTEXT} bytes")
        _require_aes(key)
        return self._pool.run(lambda session: _encrypt(_secret_key(session, key), plaintext, aad))

    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> bytes:
        """Return the plaintext; raise ``DecryptionFailed`` for whatever `encrypt` did not return for this ``aad``."""
        _require_aes(key)
        if ciphertext[:1] != _VERSION or not 0 <= len(ciphertext) - _START - _TAG <= MAX_PLAINTEXT:
            self._pool.run(lambda session: _secret_key(session, key))  # a key that is not there is told first
            raise _wrong()
        return self._pool.run(lambda session: _decrypt(_secret_key(session, key), ciphertext, aad))


def can_encrypt(session: RawSession) -> bool:
    """Return whether the token encrypts with AES-GCM as this module wants it, by trying it with a key of the session."""
    capabilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    try:
        key: Any = session.generate_key(
            KeyType.AES, 256, capabilities=capabilities, template={Attribute.EXTRACTABLE: False}
        )
        ciphertext = _encrypt(key, _VERSION, _VERSION)
        works = len(ciphertext) == _START + 1 + _TAG and _decrypt(key, ciphertext, _VERSION) == _VERSION
        key.destroy()
    except (PKCS11Error, DecryptionFailed):
        return False
    return works


def _require_aes(key: KeyReference) -> None:
    if get_algorithm(key.algorithm).signs:
        raise CapabilityUnsupported(f"a key of algorithm {key.algorithm} cannot encrypt or decrypt")


def _secret_key(session: Session, key: KeyReference) -> Any:
    known = session.keys.get(key.uri)
    if known is None:
        known = session.keys[key.uri] = find_referenced(session.raw, key).usable
    return known


def _encrypt(key: Any, plaintext: bytes, aad: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    parameters = GCMParams(nonce, _VERSION + aad, _TAG * 8)
    ciphertext: bytes = key.encrypt(plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    return _VERSION + nonce + ciphertext


def _decrypt(key: Any, ciphertext: bytes, aad: bytes) -> bytes:
    parameters = GCMParams(ciphertext[len(_VERSION) : _START], _VERSION + aad, _TAG * 8)
    try:
        plaintext: bytes = key.decrypt(ciphertext[_START:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    except PKCS11Error as error:
        if is_lost(error) or is_stale(error) or not (ckr_name(error) in _WRONG or _works(key)):
            raise
    else:
        return plaintext
    raise _wrong()


def _works(key: Any) -> bool:
    """Return whether the key decrypts what it encrypts.

    SoftHSM 2.6 answers CKR_GENERAL_ERROR to a wrong tag, as it does when it fails: this tells the two apart.
    """
    try:
        probe = _encrypt(key, _VERSION, b"")
        parameters = GCMParams(probe[len(_VERSION) : _START], _VERSION, _TAG * 8)
        found: bytes = key.decrypt(probe[_START:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    except PKCS11Error:
        return False
    return found == _VERSION


def _wrong() -> DecryptionFailed:
    return DecryptionFailed("ciphertext, key and associated data do not belong together")
