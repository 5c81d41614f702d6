"""The hooks of the PKCS#11 backend."""

from __future__ import annotations

from typing import NoReturn

from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyAlreadyExists
from keyclave.models import SecurityLevel
from keyclave.plugin import (
    AdoptKeyRequest,
    BackendContext,
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
    PublicKey,
    Signed,
    WrappedKey,
    hookimpl,
)
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.addresses import fingerprint_of, uri_of
from keyclave_pkcs11_hsm.adopting import Adopting
from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.connection import Target
from keyclave_pkcs11_hsm.creation import Creation
from keyclave_pkcs11_hsm.description import Abilities, describe
from keyclave_pkcs11_hsm.destruction import Destruction
from keyclave_pkcs11_hsm.encryption import Encryption
from keyclave_pkcs11_hsm.errors import translate
from keyclave_pkcs11_hsm.exporting import Exporting
from keyclave_pkcs11_hsm.health import report
from keyclave_pkcs11_hsm.importing import Importing
from keyclave_pkcs11_hsm.key_wrapping import KeyWrapping
from keyclave_pkcs11_hsm.listing import keys_of
from keyclave_pkcs11_hsm.locking import TokenLock
from keyclave_pkcs11_hsm.modules import release
from keyclave_pkcs11_hsm.objects import FoundKey, find_key, find_referenced
from keyclave_pkcs11_hsm.places import Place
from keyclave_pkcs11_hsm.sessions import SessionPool
from keyclave_pkcs11_hsm.signing import Signing

__all__ = ["Pkcs11Backend"]


class Pkcs11Backend:
    """Keys in one token.

    Args:
        target: the token.
        pool: its sessions.
        abilities: what it can do.
        context: what the core says of this backend.

    Raises:
        KeyclaveError: the token does not say what level it has.
    """

    def __init__(self, target: Target, pool: SessionPool, abilities: Abilities, context: BackendContext) -> None:
        lock, wrapping = TokenLock(context.data_directory), KeyWrapping(pool)
        adoptions = Adoptions(context.data_directory)
        adoptions.remove_leftovers(lock)
        self._target = target
        self._pool = pool
        self._abilities = abilities
        self._context = context
        self._instance_id = context.instance_id
        self._algorithms = frozenset(support.algorithm for support in abilities.algorithms)
        self._adoptions = adoptions
        self._adopting = Adopting(pool, lock, adoptions, self._algorithms, self._uri)
        self._creation = Creation(pool, lock)
        self._destruction = Destruction(pool, lock, adoptions, abilities.serial)
        self._importing = Importing(pool, lock, wrapping, self._algorithms)
        self._exporting = Exporting(pool, wrapping, adoptions)
        self._signing = Signing(pool, abilities.signing, adoptions)
        self._encryption = Encryption(pool, adoptions)
        self._description = self._described()

    @hookimpl
    def describe(self) -> BackendDescription:
        """Return what the token could do when it was opened, and the level that it shows now."""
        self._description = self._described()
        return self._description

    @hookimpl
    def check_health(self) -> HealthReport:
        """Return whether the token is there, and what it says of its PIN."""
        return report(self._target)

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Generate a key in the token, unless there is one of this label."""
        self._require_writable()
        if request.algorithm not in self._algorithms:
            raise CapabilityUnsupported(f"the token has no keys of algorithm {request.algorithm}")
        self._require_made_here(request.label)
        return self._created(request.label, self._creation.create(request))

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        """Return the key with this label, if all of it is there."""
        place = self._adoptions.place(label)
        return self._reference(label, self._pool.run(lambda session: find_key(session.raw, place)))

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        """Return all keys of this instance: the token is searched as a whole anyway."""
        if page is not None:
            raise InvalidArgument("the page did not come from this backend")
        found = self._pool.run(lambda session: keys_of(session.raw, self._instance_id, self._adoptions))
        return KeyPage(keys=tuple(self._reference(label, key) for label, key in found))

    @hookimpl
    def public_key(self, key: KeyReference) -> PublicKey:
        """Return the public key."""
        place = self._adoptions.place(key.label)
        spki = self._pool.run(lambda session: find_referenced(session.raw, key, place)).spki
        if spki is None:
            raise CapabilityUnsupported(f"a key of algorithm {key.algorithm} has no public key")
        return PublicKey(spki=spki)

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Remove the objects of the key."""
        self._require_writable()
        self._destruction.destroy(key)
        return DestroyResult(state=DestroyState.DESTROYED)

    @hookimpl
    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a ticket that is good for one attempt within 15 minutes."""
        self._require_writable()
        return self._importing.begin(request)

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        """Unwrap the key in the token, look at it, then keep it."""
        self._require_writable()
        self._require_made_here(ticket.request.label)
        return self._created(ticket.request.label, self._importing.finish(ticket, wrapped))

    @hookimpl
    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        """Return an exportable key, wrapped in the token under an RSA key."""
        return WrappedKey(method=method, blob=self._exporting.wrap(key, wrapping_public_key, method))

    @hookimpl
    def list_foreign_keys(self, page: str | None) -> ForeignKeyPage:
        """Return all keys that no Keyclave made; of those that cannot be adopted, why."""
        if page is not None:
            raise InvalidArgument("the page did not come from this backend")
        return ForeignKeyPage(keys=self._adopting.listed())

    @hookimpl
    def adopt_key(self, request: AdoptKeyRequest) -> CreatedKey:
        """Keep a label for a key that somebody else made, and leave the key as it is."""
        return self._created(request.label, self._adopting.adopt(request))

    @hookimpl
    def forget_key(self, key: KeyReference) -> None:
        """Take the label back from a key that was adopted."""
        self._adopting.forget(key)

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        """Sign what ``describe()`` asks for: a digest, or a message where the token hashes."""
        return Signed(signature=self._signing.sign(key, data, scheme))

    @hookimpl
    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes) -> Encrypted:
        """Encrypt up to 4096 bytes with AES-256-GCM."""
        return Encrypted(ciphertext=self._encryption.encrypt(key, plaintext, aad))

    @hookimpl
    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes) -> Decrypted:
        """Decrypt what ``encrypt`` returned."""
        return Decrypted(plaintext=self._encryption.decrypt(key, ciphertext, aad))

    def close(self) -> None:
        """Close every session, and the module if nothing else uses it. A forked child closes nothing."""
        if not self._pool.is_open:
            return
        self._importing.close()
        release(self._target.module, idle=self._pool.close())

    def __reduce__(self) -> NoReturn:
        raise TypeError("an opened backend cannot be copied or pickled")

    def _require_writable(self) -> None:
        if self._target.read_only:
            raise CapabilityUnsupported(
                "the token is open for reading only", next_step="Take read_only out of the backend's settings."
            )

    def _require_made_here(self, label: KeyLabel) -> None:
        if self._adoptions.has(label):
            raise KeyAlreadyExists("the label is that of a key which was adopted")

    def _described(self) -> BackendDescription:
        try:
            return describe(self._target, self._abilities, self._context)
        except PKCS11Error as error:
            failure = translate(error)
        raise failure

    def _reference(self, label: KeyLabel, found: FoundKey) -> KeyReference:
        uri = self._uri(found.place, found.spki, secret=found.spki is None)
        return KeyReference(label=label, uri=uri, algorithm=found.algorithm)

    def _uri(self, place: Place, spki: bytes | None, *, secret: bool) -> str:
        fingerprint = fingerprint_of(spki)
        return uri_of(self._target.label, self._abilities.serial, place, fingerprint=fingerprint, secret=secret)

    def _created(self, label: KeyLabel, found: FoundKey) -> CreatedKey:
        in_hsm = self._description.security_level is SecurityLevel.HSM
        return CreatedKey(
            reference=self._reference(label, found),
            public_key=found.spki,
            exportable=found.exportable,
            hsm_backed=in_hsm,
            evidence=(*self._description.evidence, *_origin(found), *found.evidence),
        )


def _origin(found: FoundKey) -> tuple[str, ...]:
    return ("It was adopted: somebody else had it made, and may use it.",) if found.place.adopted else ()
