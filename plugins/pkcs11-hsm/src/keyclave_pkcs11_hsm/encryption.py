"""Encrypt and decrypt with AES keys in the token."""

from __future__ import annotations

from typing import Any

from keyclave.errors import CapabilityUnsupported, DecryptionFailed, InvalidArgument
from keyclave.models import get_algorithm
from keyclave.plugin import KeyReference
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType

from keyclave_pkcs11_hsm import gcm
from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.errors import ckr_name, is_lost
from keyclave_pkcs11_hsm.key_wrapping import passing
from keyclave_pkcs11_hsm.objects import FoundKey, find_referenced
from keyclave_pkcs11_hsm.sessions import Session, SessionPool

__all__ = ["Encryption", "can_encrypt"]

_WRONG = ("ENCRYPTED_DATA_INVALID", "ENCRYPTED_DATA_LEN_RANGE")


class Encryption:
    """Encrypts and decrypts."""

    def __init__(self, pool: SessionPool, adoptions: Adoptions) -> None:
        self._pool = pool
        self._adoptions = adoptions

    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> bytes:
        """Return the ciphertext; raise ``InvalidArgument`` for a plaintext of more than 4096 bytes."""
        if len(plaintext) > gcm.MAX_PLAINTEXT:
            raise InvalidArgument(f"the plaintext has more than {gcm.MAX_PLAINTEXT} bytes")
        _require_aes(key)
        return self._pool.run(lambda session: gcm.encrypt(self._secret_key(session, key), plaintext, aad))

    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> bytes:
        """Return the plaintext; raise ``DecryptionFailed`` for whatever `encrypt` did not return for this ``aad``."""
        _require_aes(key)

        def work(session: Session) -> bytes:
            secret_key = self._secret_key(session, key)
            if not gcm.is_whole(ciphertext):
                raise _wrong()
            return _decrypt(secret_key, ciphertext, aad)

        return self._pool.run(work)

    def _secret_key(self, session: Session, key: KeyReference) -> Any:
        found: FoundKey | None = session.ciphers.get(key)
        if found is None:
            place = self._adoptions.place(key.label)
            found = session.ciphers.keep(key, find_referenced(session.raw, key, place))
        elif found.place.adopted:
            self._adoptions.require(key.label)
        return found.usable


def can_encrypt(session: RawSession) -> bool:
    """Return whether the token encrypts with AES-GCM as it should, by trying it with a key of the session."""
    capabilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    try:
        key = session.generate_key(
            KeyType.AES, 256, capabilities=capabilities, template={Attribute.EXTRACTABLE: False}
        )
    except PKCS11Error:
        return False
    with passing(key):
        return gcm.works(key)


def _require_aes(key: KeyReference) -> None:
    if get_algorithm(key.algorithm).signs:
        raise CapabilityUnsupported(f"a key of algorithm {key.algorithm} cannot encrypt or decrypt")


def _decrypt(key: Any, ciphertext: bytes, aad: bytes) -> bytes:
    try:
        return gcm.decrypt(key, ciphertext, aad)
    except PKCS11Error as error:
        # SoftHSM 2.6 answers CKR_GENERAL_ERROR to a wrong tag, as it does when it fails: a trial tells the two apart.
        if is_lost(error) or not (ckr_name(error) in _WRONG or gcm.works(key)):
            raise
    raise _wrong()


def _wrong() -> DecryptionFailed:
    return DecryptionFailed("ciphertext, key and associated data do not belong together")
