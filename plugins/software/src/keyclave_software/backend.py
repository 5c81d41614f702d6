"""The hooks of the software backend."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import NoReturn
from uuid import UUID

from keyclave.crypto.wrapping import unwrap_key
from keyclave.crypto.wrapping import wrap_key as wrap
from keyclave.errors import (
    CapabilityUnsupported,
    InvalidArgument,
    KeyAlreadyExists,
    KeyDisabled,
    KeyNotFound,
)
from keyclave.models import AuthenticationMethod, SecurityLevel, get_algorithm
from keyclave.plugin import (
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    Encrypted,
    HealthReport,
    ImportKeyRequest,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    Location,
    PublicKey,
    Signed,
    WrappedKey,
    hookimpl,
)
from pydantic import SecretBytes

from keyclave_software.encryption import decrypt, encrypt
from keyclave_software.health import report
from keyclave_software.keystore import Keystore, key_name
from keyclave_software.limits import WRAPPED_BYTES
from keyclave_software.loaded import LoadedKey, LoadedKeys, name_of, uri_of
from keyclave_software.master_key import MasterKey
from keyclave_software.material import checked, generate, supported_algorithms
from keyclave_software.sealed import KeyHeader, SealedKey
from keyclave_software.signers import support
from keyclave_software.tickets import Tickets

__all__ = ["SoftwareBackend"]

_PAGE = 500
_PAGE_TOKEN = re.compile(r"[0-9a-f]{32}")
_EVIDENCE = (
    "Keys are kept in encrypted files and used in the memory of this process.",
    "Whoever controls this process, or its user, can copy them.",
)


class SoftwareBackend:
    """Keys in software, from the keystore in one directory."""

    def __init__(self, directory: Path, master: MasterKey, instance_id: UUID) -> None:
        self._directory = directory
        self._keystore = Keystore(directory, master)
        self._instance_id = instance_id
        self._loaded = LoadedKeys(self._keystore)
        self._in_memory = self._loaded.in_memory
        self._tickets = Tickets()

    @hookimpl
    def describe(self) -> BackendDescription:
        """Return level SOFTWARE, and the algorithms that `cryptography` has here."""
        return BackendDescription(
            contract="2026.11",
            provider_type="software",
            security_level=SecurityLevel.SOFTWARE,
            evidence=_EVIDENCE,
            authentication_method=AuthenticationMethod.PROCESS_IDENTITY,
            location=Location.IN_PROCESS,
            algorithms=tuple(map(support, supported_algorithms())),
        )

    @hookimpl
    def check_health(self) -> HealthReport:
        """Return whether the keystore can be read and written."""
        return report(self._directory)

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Generate a key and write its file, unless there is one of this label."""
        reference = _reference(request.label, request.algorithm)
        if not self._keystore.has(key_name(str(request.label))):
            self._add(request, generate(request.algorithm))
        created = self._created(reference)
        if created.exportable != request.exportable:
            raise KeyAlreadyExists("a key of this label exists, and differs in whether it is exportable")
        return created

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        """Return the key that the label's file holds."""
        header = self._keystore.read(key_name(str(label))).header
        return _reference(label, header.algorithm)

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        """Return up to 500 keys of this instance, in the order of their addresses."""
        if page is not None and not _PAGE_TOKEN.fullmatch(page):
            raise InvalidArgument("the page did not come from this backend")
        names = self._keystore.names(page or "", _PAGE)
        references = (self._listed(name) for name in names)
        return KeyPage(
            keys=tuple(reference for reference in references if reference is not None),
            next_page=names[-1] if len(names) == _PAGE else None,
        )

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        """Return the public key, of a disabled key too."""
        spki = self._loaded.get(key).public_key
        if spki is None:
            raise CapabilityUnsupported(f"a key of algorithm {key.algorithm} has no public key")
        return PublicKey(spki=spki)

    @hookimpl
    def enable_key(self, key: KeyReference) -> None:
        """Let the key be used."""
        self._set_enabled(key, enabled=True)

    @hookimpl
    def disable_key(self, key: KeyReference) -> None:
        """Refuse the key for every use but its public key."""
        self._set_enabled(key, enabled=False)

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Remove the key's file."""
        try:
            self._keystore.remove(name_of(key))
        finally:
            self._loaded.forget(key)
        return DestroyResult(state=DestroyState.DESTROYED)

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a ticket that is good for one attempt within 15 minutes."""
        if get_algorithm(request.algorithm) not in supported_algorithms():
            raise CapabilityUnsupported(f"keys of algorithm {request.algorithm} cannot be used in software here")
        return self._tickets.issue(request)

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        """Unwrap and check the key, then write its file."""
        wrapping_key = self._tickets.take(ticket)
        if len(wrapped.blob) > WRAPPED_BYTES:
            raise InvalidArgument(f"the wrapped key has more than {WRAPPED_BYTES} bytes")
        request = ticket.request
        if wrapped.method != ticket.method:
            raise InvalidArgument(f"the ticket asks for a key wrapped by {ticket.method}")
        secret = checked(unwrap_key(wrapped.blob, wrapping_key, wrapped.method), request.algorithm)
        if not self._add(request, secret):
            raise KeyAlreadyExists("a key of this label exists")
        return self._created(_reference(request.label, request.algorithm))

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        """Return an exportable key, wrapped under an RSA key."""
        header, secret = self._keystore.read(name_of(key))
        if not header.exportable:
            raise CapabilityUnsupported("the key is not exportable")
        if not header.enabled:
            raise _disabled()
        return WrappedKey(method=method, blob=wrap(secret, wrapping_public_key, method))

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign a digest, or a message with Ed25519 and ML-DSA."""
        # `LoadedKeys.get`, written out: the call would cost as much as the rest of this method.
        loaded = self._in_memory.get(key.uri)
        if loaded is None or monotonic() >= loaded.valid_until:
            loaded = self._loaded.get(key)
        signer = loaded.signers.get(scheme)
        if signer is None:
            raise _refusal(loaded, f"sign with {scheme}")
        try:
            return Signed(signature=signer(data))
        except ValueError:
            pass
        raise InvalidArgument(f"the data is not a digest for {scheme}")

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        """Encrypt up to 64 KiB with AES-256-GCM."""
        loaded = self._loaded.get(key)
        if loaded.cipher is None:
            raise _refusal(loaded, "encrypt")
        return Encrypted(ciphertext=encrypt(loaded.cipher, plaintext, aad))

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """Decrypt what ``encrypt`` returned."""
        loaded = self._loaded.get(key)
        if loaded.cipher is None:
            raise _refusal(loaded, "decrypt")
        return Decrypted(plaintext=decrypt(loaded.cipher, ciphertext, aad))

    def close(self) -> None:
        """Forget keys and tickets."""
        self._loaded.clear()
        self._tickets.clear()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an opened backend cannot be copied or pickled")

    def _add(self, request: CreateKeyRequest | ImportKeyRequest, secret: SecretBytes) -> bool:
        header = KeyHeader(
            label=str(request.label),
            algorithm=request.algorithm,
            exportable=request.exportable,
            created_at=datetime.now(UTC),
        )
        return self._keystore.add(SealedKey(header, secret))

    def _created(self, reference: KeyReference) -> CreatedKey:
        self._loaded.forget(reference)  # what is returned was read back from the file
        loaded = self._loaded.get(reference)
        return CreatedKey(
            reference=reference,
            public_key=loaded.public_key,
            exportable=loaded.header.exportable,
            hsm_backed=False,
            evidence=_EVIDENCE,
        )

    def _listed(self, name: str) -> KeyReference | None:
        try:
            header = self._keystore.read(name).header
        except KeyNotFound:
            return None  # destroyed since its name was read
        label = KeyLabel.parse(header.label)
        return _reference(label, header.algorithm) if label.instance_id == self._instance_id else None

    def _set_enabled(self, key: KeyReference, *, enabled: bool) -> None:
        try:
            self._keystore.set_enabled(name_of(key), enabled=enabled)
        finally:
            self._loaded.forget(key)


def _reference(label: KeyLabel, algorithm: str) -> KeyReference:
    return KeyReference(label=label, uri=uri_of(str(label)), algorithm=algorithm)


def _disabled() -> KeyDisabled:
    return KeyDisabled("the key is disabled in the keystore")


def _refusal(loaded: LoadedKey, wish: str) -> KeyDisabled | CapabilityUnsupported:
    if not loaded.header.enabled:
        return _disabled()
    return CapabilityUnsupported(f"a key of algorithm {loaded.header.algorithm} cannot {wish}")
