"""Backends that let keys out wrongly, or wrap another key than was asked for."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keyclave.crypto.wrapping import wrap_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.plugin import (
    BackendDescription,
    CreateKeyRequest,
    ImportKeyRequest,
    ImportTicket,
    KeyReference,
    WrappedKey,
    hookimpl,
)
from keyclave_software.loaded import name_of
from keyclave_software.material import generate
from msgspec import structs
from pydantic import SecretBytes

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


@fault({55: "takes keys that are wrapped by .* does not describe", 56: "wraps keys by .* does not describe"})
class MethodsAreNotDescribed(ZooSoftware):
    """Wraps keys and takes them, and says nothing of it: no plan lets a key move."""

    @hookimpl
    def describe(self) -> BackendDescription:
        described = super().describe()
        silent = (structs.replace(each, wrap_methods=(), import_methods=()) for each in described.algorithms)
        return structs.replace(described, algorithms=tuple(silent))


@fault({55: "another public key", 56: "no PKCS#8 of the key"})
class WrapsAnotherKey(ZooSoftware):
    """Wraps a key of the same algorithm that it made for the purpose."""

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        super().wrap_key(key, wrapping_public_key, method)
        return WrappedKey(method=method, blob=wrap_key(generate(key.algorithm), wrapping_public_key, method))


@fault({55: "decrypts to something else|DecryptionFailed"})
class WrapsHalfOfASecretKey(ZooSoftware):
    """Copies 16 bytes of a secret key, and leaves the rest of the buffer as it was."""

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        wrapped = super().wrap_key(key, wrapping_public_key, method)
        if not key.algorithm.startswith("AES"):
            return wrapped
        secret = self._keystore.read(name_of(key)).secret.get_secret_value()
        half = SecretBytes(secret[:16] + bytes(16))
        return WrappedKey(method=method, blob=wrap_key(half, wrapping_public_key, method))


class _OwnWrap(ZooSoftware):
    """A right backend with parts to be replaced."""

    algorithm: hashes.HashAlgorithm = hashes.SHA256()

    def kek(self) -> bytes:
        return secrets.token_bytes(32)

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        header, secret = self._keystore.read(name_of(key))
        if not header.exportable:
            raise CapabilityUnsupported("the key is not exportable")
        wrapping_key = self.wrapping_key(wrapping_public_key)
        oaep = padding.OAEP(mgf=padding.MGF1(self.algorithm), algorithm=self.algorithm, label=None)
        kek = self.kek()
        sealed = keywrap.aes_key_wrap_with_padding(kek, secret.get_secret_value())
        return WrappedKey(method=method, blob=wrapping_key.encrypt(kek, oaep) + sealed)

    def wrapping_key(self, spki: bytes) -> rsa.RSAPublicKey:
        try:
            loaded = serialization.load_der_public_key(spki)
        except ValueError:
            raise InvalidArgument("the wrapping key cannot be read") from None
        if not isinstance(loaded, rsa.RSAPublicKey):
            raise InvalidArgument("the wrapping key must be an RSA key")
        return loaded


@fault({56: "cannot be unwrapped by OAEP"})
class WrapsWithSha1(_OwnWrap):
    """Leaves the hash of OAEP at what its device has."""

    algorithm = hashes.SHA1()


@fault({62: "2048 bits succeeded"})
class WrapsUnderAnyRsaKey(_OwnWrap):
    """Looks at the kind of the wrapping key, and not at its size."""


@fault({59: "not exportable succeeded"})
class EverythingCanBeWrapped(ZooSoftware):
    """Keeps the mark of exportable keys, and does not look at it."""

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        secret = self._keystore.read(name_of(key)).secret
        return WrappedKey(method=method, blob=wrap_key(secret, wrapping_public_key, method))


@fault({61: "added a key to the list"})
class TicketKeysAreOrdinaryKeys(ZooSoftware):
    """Makes the key of a ticket as it makes any other, beside the keys of its users."""

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        ticket = super().begin_import(request)
        label = structs.replace(request.label, version=request.label.version + 1)
        super().create_key(CreateKeyRequest(label=label, algorithm="RSA_2048", exportable=False))
        return ticket


@fault({61: "two tickets have one id"})
class OneTicketForAll(ZooSoftware):
    """Returns the ticket that it has, whoever asks."""

    ticket: ImportTicket | None = None

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        self.ticket = self.ticket or super().begin_import(request)
        return structs.replace(self.ticket, request=request)
