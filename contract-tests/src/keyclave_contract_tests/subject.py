"""The backend under test as checks call it: each hook once, counted and timed, its result the bare content."""

from __future__ import annotations

from types import NoneType
from typing import TypeVar

from keyclave.errors import KeyclaveError
from keyclave.plugin import (
    Attestation,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    Encrypted,
    ForeignKeyPage,
    HealthReport,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    Mac,
    PermissionReport,
    PublicKey,
    Signed,
    WrappedKey,
)
from msgspec.structs import replace

from keyclave_contract_tests.journal import Journal
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.sources import Handle

__all__ = ["Subject"]

T = TypeVar("T")
A = TypeVar("A", CreatedKey, DestroyResult)
_MAKING = frozenset({"create_key", "import_key"})


class Subject:
    """One opened handle of the backend under test. Safe to share between threads.

    Every method makes one call and raises what the hook raises, with the operation filled in. Where the backend is on
    a network and throttles, the core repeats the call, as it does for an application.

    Attributes:
        description: what the backend said about itself when it was opened.
    """

    def __init__(self, handle: Handle, meter: Meter, journal: Journal | None) -> None:
        self.description: BackendDescription = handle.description
        self._handle = handle
        self._meter = meter
        self._journal = journal

    @property
    def target(self) -> object:
        """The object that the plugin returned, to be looked at, and not to be called."""
        return self._handle.target

    def has(self, hook: str) -> bool:
        """Return whether the backend implements a hook."""
        return self._handle.has(hook)

    def close(self) -> None:
        """Close the backend."""
        self._handle.close()

    def call(self, hook: str, due: type[T], **arguments: object) -> T:
        """Make one call."""
        with self._meter.call(hook, makes_key=hook in _MAKING):
            try:
                return self._handle.call(hook, due, **arguments)
            except KeyclaveError as error:
                error.at(operation=hook)
                raise

    def describe(self) -> BackendDescription:
        """Ask again what the backend is."""
        return self.call("describe", BackendDescription)

    def check_health(self) -> HealthReport:
        """Ask how it is."""
        return self.call("check_health", HealthReport)

    def check_permissions(self) -> PermissionReport:
        """Ask which permissions are missing."""
        return self.call("check_permissions", PermissionReport)

    def create_key(self, label: KeyLabel, algorithm: str, *, exportable: bool = False) -> CreatedKey:
        """Create a key."""
        request = CreateKeyRequest(label=label, algorithm=algorithm, exportable=exportable)
        return _comparable(self.call("create_key", CreatedKey, request=request))

    def find_key(self, label: KeyLabel) -> KeyReference:
        """Find a key by its label."""
        return self.call("find_key", KeyReference, label=label)

    def page(self, page: str | None) -> KeyPage:
        """Return one page of keys."""
        return self.call("list_keys", KeyPage, page=page)

    def list_keys(self) -> tuple[KeyReference, ...]:
        """Return all keys, of all pages."""
        found: list[KeyReference] = []
        token: str | None = None
        seen = {token}
        while True:
            page = self.page(token)
            found += page.keys
            token = page.next_page
            if token in seen:
                return tuple(found)
            seen.add(token)

    def has_foreign_keys(self) -> bool:
        """Return whether the backend holds keys that no Keyclave made, where it can say so."""
        return self.has("list_foreign_keys") and bool(self.call("list_foreign_keys", ForeignKeyPage, page=None).keys)

    def public_key(self, key: KeyReference) -> bytes:
        """Return the public key, DER SubjectPublicKeyInfo."""
        return self.call("public_key", PublicKey, key=key).spki

    def enable_key(self, key: KeyReference) -> None:
        """Let the key be used."""
        self.call("enable_key", NoneType, key=key)

    def disable_key(self, key: KeyReference) -> None:
        """Refuse the key."""
        self.call("disable_key", NoneType, key=key)

    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Destroy the key."""
        result = _comparable(self.call("destroy_key", DestroyResult, key=key))
        if self._journal is None:
            return result
        if result.state is DestroyState.DESTROYED:
            self._journal.gone(key.label)
        elif result.scheduled_for is not None:
            self._journal.postponed(key, result.scheduled_for)
        return result

    def cancel_destruction(self, key: KeyReference) -> None:
        """Call the scheduled destruction of the key off."""
        self.call("cancel_destruction", NoneType, key=key)
        if self._journal is not None:
            self._journal.restored(key)

    def begin_import(self, label: KeyLabel, algorithm: str, *, exportable: bool = False) -> ImportTicket:
        """Ask for a ticket to import a key with."""
        request = ImportKeyRequest(label=label, algorithm=algorithm, exportable=exportable)
        return self.call("begin_import", ImportTicket, request=request)

    def import_key(self, ticket: ImportTicket, blob: bytes, *, method: str | None = None) -> CreatedKey:
        """Import a wrapped key."""
        wrapped = WrappedKey(method=method or ticket.method, blob=blob)
        return _comparable(self.call("import_key", CreatedKey, ticket=ticket, wrapped=wrapped))

    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        """Return the key, wrapped."""
        return self.call("wrap_key", WrappedKey, key=key, wrapping_public_key=wrapping_public_key, method=method)

    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        """Return the maker's statement about the key."""
        return self.call("attest_key", Attestation, key=key, nonce=nonce)

    def sign(self, key: KeyReference, data: bytes, scheme: str) -> bytes:
        """Sign a message or digest, as the backend asks for; return the signature in its own encoding."""
        return self.call("sign", Signed, key=key, data=data, scheme=scheme).signature

    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes = b"") -> bytes:
        """Encrypt."""
        return self.call("encrypt", Encrypted, key=key, plaintext=plaintext, aad=aad).ciphertext

    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """Decrypt."""
        return self.call("decrypt", Decrypted, key=key, ciphertext=ciphertext, aad=aad).plaintext

    def mac(self, key: KeyReference, data: bytes) -> bytes:
        """Authenticate."""
        return self.call("mac", Mac, key=key, data=data).tag


def _comparable(answer: A) -> A:
    """Return an answer without what the provider called the call: a repeated call gives the same, and is another."""
    return replace(answer, provider_reference=None)
