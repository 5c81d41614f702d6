"""Backends that do not import the key that was sent, or cannot part with it."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from keyclave.crypto.wrapping import unwrap_key
from keyclave.errors import KeyAlreadyExists
from keyclave.plugin import CreatedKey, DestroyResult, DestroyState, ImportTicket, KeyReference, WrappedKey, hookimpl
from keyclave_software.loaded import uri_of
from keyclave_software.material import checked, generate, load_private_key, public_key
from msgspec import structs
from pydantic import SecretBytes

from tests.zoo.fault import fault
from tests.zoo.software import ZooSoftware


class OwnImport(ZooSoftware):
    """A right backend whose import has parts to be replaced."""

    def unwrapped(self, wrapped: WrappedKey, wrapping_key: rsa.RSAPrivateKey) -> SecretBytes:
        return unwrap_key(wrapped.blob, wrapping_key, wrapped.method)

    def checked(self, secret: SecretBytes, algorithm: str) -> SecretBytes:
        return checked(secret, algorithm)

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        request = ticket.request
        secret = self.unwrapped(wrapped, self._tickets.take(ticket))
        if not self._add(request, self.checked(secret, request.algorithm)):
            raise KeyAlreadyExists("a key of this label exists")
        label = request.label
        return self._created(KeyReference(label=label, uri=uri_of(str(label)), algorithm=request.algorithm))


@fault({22: "does not verify under the original", 51: "do not decrypt each other", 63: "another public key than"})
class ImportMakesANewKey(OwnImport):
    """Makes a key of the same algorithm, and calls it the imported one."""

    def checked(self, secret: SecretBytes, algorithm: str) -> SecretBytes:
        super().checked(secret, algorithm)
        return generate(algorithm)


@fault({63: "another public key later", 22: "does not verify under the original"})
class ReturnsWhatItWasSent(OwnImport):
    """Computes the public key from what was sent, and keeps another key."""

    sent: bytes | None = None

    def checked(self, secret: SecretBytes, algorithm: str) -> SecretBytes:
        right = super().checked(secret, algorithm)
        self.sent = None if algorithm.startswith("AES") else public_key(load_private_key(right))
        return generate(algorithm)

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        return structs.replace(super().import_key(ticket, wrapped), public_key=self.sent)


@fault({51: "the import of other bytes succeeded"})
class SecretKeysAreOneKey(OwnImport):
    """Keeps the first secret key that it imports for all that follow."""

    first: SecretBytes | None = None

    def checked(self, secret: SecretBytes, algorithm: str) -> SecretBytes:
        right = super().checked(secret, algorithm)
        if not algorithm.startswith("AES"):
            return right
        self.first = self.first or right
        return self.first


@fault({65: "finding an imported key that was destroyed succeeded"})
class ImportedKeysAreOnlyDisabled(OwnImport):
    """Destroys what it made itself, and disables what it was given."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.given: set[str] = set()

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        made = super().import_key(ticket, wrapped)
        self.given.add(made.reference.uri)
        return made

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        if key.uri not in self.given:
            return super().destroy_key(key)
        self.disable_key(key)
        return DestroyResult(state=DestroyState.DESTROYED)
