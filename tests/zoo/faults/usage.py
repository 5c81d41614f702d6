"""Backends that let keys do what they are not for."""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.crypto.wrapping import wrap_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyDisabled
from keyclave.models import get_algorithm
from keyclave.plugin import Decrypted, Encrypted, KeyLabel, KeyReference, Mac, Signed, WrappedKey, hookimpl
from keyclave_contract_tests.wrapping_keys import wrapping_spki
from keyclave_software.encryption import decrypt, encrypt

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({79: "a scheme that is not described for the key succeeded"})
class SchemeIsThatOfTheKey(ZooSoftware):
    """Signs as the key usually does, whatever scheme it is asked for."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        algorithm = get_algorithm(key.algorithm)
        if not algorithm.schemes or scheme in algorithm.schemes:
            return super().sign(key, data, scheme)
        return super().sign(key, data.ljust(32, b"\0")[:32], algorithm.schemes[0])


@fault({80: "after uses that were refused, a right use raised KeyDisabled"})
class WrongUsesLockTheKey(ZooSoftware):
    """Takes a key that it had to refuse for a stolen one, and lets it do nothing from then on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.locked: set[KeyLabel] = set()

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        try:
            return super().encrypt(key, plaintext, aad)
        except CapabilityUnsupported:
            self.locked.add(key.label)
            raise

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if key.label in self.locked:
            raise KeyDisabled("the key was misused, and is locked")
        return super().sign(key, data, scheme)


@fault({81: "encrypting with a private key, addressed as a key of another kind, succeeded"})
class BelievesTheReference(ZooSoftware):
    """Asks the reference what kind of key it is, and takes the first bytes of whatever is stored."""

    def cipher(self, key: KeyReference) -> AESGCM:
        if get_algorithm(key.algorithm).signs:
            raise CapabilityUnsupported("a private key does not encrypt")
        secret = self._keystore.read(key.uri.removeprefix("software:")).secret
        return AESGCM(secret.get_secret_value()[:32])

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        return Encrypted(ciphertext=encrypt(self.cipher(key), plaintext, aad))

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        return Decrypted(plaintext=decrypt(self.cipher(key), ciphertext, aad))


@fault({82: "signing with a secret key succeeded"})
class SecretKeysSign(ZooSoftware):
    """Returns a message authentication code where a secret key is asked for a signature."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if get_algorithm(key.algorithm).signs:
            return super().sign(key, data, scheme)
        secret = self._keystore.read(key.uri.removeprefix("software:")).secret
        return Signed(signature=hmac.digest(secret.get_secret_value(), data, "sha256"))


@fault({82: "authenticating with a key that is not for that succeeded"})
class EveryKeyAuthenticates(ZooSoftware):
    """Takes any key for one of HMAC."""

    @hookimpl
    def mac(self, key: KeyReference, data: bytes) -> Mac:
        secret = self._keystore.read(key.uri.removeprefix("software:")).secret
        return Mac(tag=hmac.digest(secret.get_secret_value(), data, "sha256"))


@fault({83: "wrapping a key under an RSA key of (1024|2048) bits succeeded"})
class WrapsUnderAnyKey(ZooSoftware):
    """Looks at the wrapping key when it is too late: where it was refused, another one is taken."""

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        try:
            return super().wrap_key(key, wrapping_public_key, method)
        except InvalidArgument:
            secret = self._keystore.read(key.uri.removeprefix("software:")).secret
            return WrappedKey(method=method, blob=wrap_key(secret, wrapping_spki(), method))
