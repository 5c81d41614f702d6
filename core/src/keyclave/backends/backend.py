"""An opened backend, as services call it: every hook behind its guards.

All methods raise ``CapabilityUnsupported`` for a hook that the backend does not implement, before anything happens,
and ``BackendUnavailable`` once the backend broke its contract. What else they raise is said at `HookCalls.call`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import NoneType
from typing import TypeVar

from keyclave.backends.calls import HookCalls
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.backends.data import DataCalls
from keyclave.backends.description import lowered
from keyclave.backends.key_results import KeyResults
from keyclave.backends.results import unwrap
from keyclave.backends.signer import SignerBinder
from keyclave.backends.standing import standing
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.models import CryptographicBackend, get_algorithm
from keyclave.plugin.records import (
    AdoptKeyRequest,
    AlgorithmSupport,
    Attestation,
    BackendContext,
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    Decrypted,
    DestroyResult,
    DestroyState,
    Encrypted,
    ForeignKey,
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

__all__ = ["Backend"]

P = TypeVar("P", KeyPage, ForeignKeyPage)
_NONCE_SIZES = range(16, 65)
_PAGES = 100_000
"""The most pages of one listing: more keys than any backend has, even with one on each."""


class Backend:
    """One configured backend instance, opened. Safe to share between threads.

    Attributes:
        id: the name of the configured instance.
        provider_type: the plugin that serves it.
        description: what it said about itself when it was opened, with the lowest level that it showed since.
        accept_simulator: whether the settings let a simulator stand for the real thing.
        calls: its hooks, behind the guards that every hook has.
    """

    def __init__(
        self, context: BackendContext, calls: HookCalls, description: BackendDescription, crypto: CryptoFunctions
    ) -> None:
        self.id = context.backend_id
        self.provider_type = description.provider_type
        self.description = description
        self.accept_simulator = context.accept_simulator
        self._context = context
        self.calls = calls
        self._check_public_key = crypto.check_public_key
        self._results = KeyResults(context, description, crypto.check_public_key)
        self._data = DataCalls(calls, description)
        self._signers = SignerBinder(calls, description, crypto)

    def __repr__(self) -> str:
        return f"<Backend {self.id!r} {self.provider_type}>"

    def has(self, hook: str) -> bool:
        """Return whether the backend implements a hook."""
        return self.calls.implements(hook)

    def standing(self) -> CryptographicBackend:
        """Return what the backend shows of itself; see `keyclave.backends.standing`."""
        return standing(self._context, self.description)

    def show(self, said: BackendDescription) -> bool:
        """Take over what the backend says of itself now, but no higher level; return whether anything changed.

        What it can do stays as it was when it was opened.
        """
        after = lowered(self.description, said)
        if after == self.description:
            return False
        self.description = after
        self._results = KeyResults(self._context, after, self._check_public_key)
        return True

    def support(self, algorithm: str) -> AlgorithmSupport | None:
        """Return what the backend says of keys of an algorithm; ``None`` if it has none."""
        return next((s for s in self.description.algorithms if s.algorithm == algorithm), None)

    def _require_algorithm(self, hook: str, algorithm: str) -> None:
        self.calls.require(hook)
        if self.support(get_algorithm(algorithm).name) is None:
            raise CapabilityUnsupported(f"it has no {algorithm}", operation=hook, backend_id=self.id)

    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        """Create a key version, or return the one that this label already names.

        Raises:
            IntegrityError: the backend made something else than was asked for.
        """
        self._require_algorithm("create_key", request.algorithm)
        made = self.calls.call("create_key", CreatedKey, request=request)
        return self._results.created("create_key", request, made)

    def find_key(self, label: KeyLabel) -> KeyReference:
        """Return the key version with this label; raise ``KeyNotFound`` if there is none."""
        return self._results.reference("find_key", label, self.calls.call("find_key", KeyReference, label=label))

    def list_keys(self) -> Iterator[KeyReference]:
        """Return all key versions of this instance, page by page as they are asked for.

        Raises:
            IntegrityError: the backend repeats a page, or lists a key of another instance.
        """
        self.calls.require("list_keys")
        pages = self._pages("list_keys", KeyPage)
        return (self._results.listed(reference) for page in pages for reference in page.keys)

    def _pages(self, hook: str, due: type[P]) -> Iterator[P]:
        seen: set[str] = set()
        token: str | None = None
        while True:
            page = self.calls.call(hook, due, page=token)
            yield page
            token = page.next_page
            if token is None:
                return
            if token in seen:
                raise self._results.wrong(hook, "it repeats a page")
            if len(seen) == _PAGES:
                raise self._results.wrong(hook, f"it does not end after {_PAGES} pages")
            seen.add(token)

    def public_key(self, key: KeyReference) -> PublicKey:
        """Return the public key, a good one of the key's algorithm."""
        found = self.calls.call("public_key", PublicKey, key=key)
        self._results.public_key("public_key", found.spki, key.algorithm)
        return found

    def enable_key(self, key: KeyReference) -> None:
        """Let the key be used again."""
        self.calls.call("enable_key", NoneType, key=key)

    def disable_key(self, key: KeyReference) -> None:
        """Refuse the key for every use but its public key."""
        self.calls.call("disable_key", NoneType, key=key)

    def destroy_key(self, key: KeyReference) -> DestroyResult:
        """Destroy the key, or schedule it; the result says which."""
        result = self.calls.call("destroy_key", DestroyResult, key=key)
        if (result.scheduled_for is not None) is not (result.state is DestroyState.SCHEDULED):
            raise self._results.wrong("destroy_key", "it does not say when the key will be gone, or that it is gone")
        return result

    def cancel_destruction(self, key: KeyReference) -> None:
        """Call a scheduled destruction off; the key is there again, disabled."""
        self.calls.call("cancel_destruction", NoneType, key=key)

    def begin_import(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a ticket to import one key with."""
        self._require_algorithm("begin_import", request.algorithm)
        ticket = self.calls.call("begin_import", ImportTicket, request=request)
        if ticket.request != request:
            raise self._results.wrong("begin_import", "it returned a ticket for another key")
        return ticket

    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        """Import a wrapped key with its ticket.

        Raises:
            InvalidArgument: the key is wrapped in another way than the ticket asks for, or the backend refuses it.
            IntegrityError: the backend imported something else than was asked for.
        """
        if wrapped.method != ticket.method:
            raise InvalidArgument(f"the ticket asks for {ticket.method}, and the key is wrapped by {wrapped.method}")
        made = self.calls.call("import_key", CreatedKey, ticket=ticket, wrapped=wrapped)
        return self._results.created("import_key", ticket.request, made)

    def list_foreign_keys(self) -> Iterator[ForeignKey]:
        """Return all keys that could be adopted, page by page as they are asked for.

        Raises:
            IntegrityError: the backend repeats a page, or lists a key of no form or algorithm of its own.
        """
        self.calls.require("list_foreign_keys")
        pages = self._pages("list_foreign_keys", ForeignKeyPage)
        return (self._results.foreign(key) for page in pages for key in page.keys)

    def adopt_key(self, request: AdoptKeyRequest) -> CreatedKey:
        """Keep a foreign key under the request's label from now on.

        Raises:
            IntegrityError: the backend adopted another key than was asked for.
        """
        self._require_algorithm("adopt_key", request.algorithm)
        made = self.calls.call("adopt_key", CreatedKey, request=request)
        return self._results.adopted(request, made)

    def forget_key(self, key: KeyReference) -> None:
        """Undo ``adopt_key``; the key itself stays."""
        self.calls.call("forget_key", NoneType, key=key)

    def wrap_key(self, key: KeyReference, wrapping_public_key: bytes, method: str) -> WrappedKey:
        """Return the key, wrapped under an RSA public key (DER SubjectPublicKeyInfo)."""
        wrapped = self.calls.call(
            "wrap_key", WrappedKey, key=key, wrapping_public_key=wrapping_public_key, method=method
        )
        if wrapped.method != method or not wrapped.blob:
            raise self._results.wrong("wrap_key", "it wrapped the key in another way than asked")
        return wrapped

    def attest_key(self, key: KeyReference, nonce: bytes) -> Attestation:
        """Return the maker's statement of how the key is kept, bound to a nonce of 16 to 64 bytes."""
        if len(nonce) not in _NONCE_SIZES:
            raise InvalidArgument("a nonce has 16 to 64 bytes")
        return self.calls.call("attest_key", Attestation, key=key, nonce=nonce)

    def check_health(self) -> HealthReport:
        """Return how the backend is."""
        return self.calls.call("check_health", HealthReport)

    def check_permissions(self) -> PermissionReport:
        """Return which permissions the identity of this process lacks."""
        return self.calls.call("check_permissions", PermissionReport)

    def encrypt(self, key: KeyReference, plaintext: bytes, aad: bytes = b"") -> Encrypted:
        """Encrypt ``plaintext`` and bind ``aad``, which is refused where the backend cannot bind it."""
        outcome = self._data.encrypt(key, plaintext, aad)
        del plaintext  # it may be a key, and must not be in the frame of an error
        return unwrap(outcome)

    def decrypt(self, key: KeyReference, ciphertext: bytes, aad: bytes = b"") -> Decrypted:
        """Return what ``encrypt`` encrypted with the same ``aad``; raise ``DecryptionFailed`` for anything else."""
        return self._data.decrypt(key, ciphertext, aad)

    def mac(self, key: KeyReference, data: bytes) -> Mac:
        """Return the message authentication code of ``data``."""
        return self._data.mac(key, data)

    def bind_signer(
        self, key: KeyReference, spki: bytes | None, scheme: str, *, prehashed: bool
    ) -> Callable[[bytes], Signed]:
        """Return a function that signs with one key and scheme, as fast as the backend allows.

        It takes the message, or with ``prehashed`` its digest, as bytes, bytearray or memoryview, and returns the
        signature in its public form: DER for ECDSA. A signature that did not come from software in this process is
        verified against the stored public key before it is returned.

        Args:
            key: the key version.
            spki: its stored public key, DER SubjectPublicKeyInfo.
            scheme: a signature scheme of `keyclave.models.algorithms`.
            prehashed: whether the caller passes digests.

        Raises:
            CapabilityUnsupported: the backend does not sign, not with this scheme, or hashes messages itself.
            InvalidArgument: the scheme is unknown. The function raises it for data of a wrong type or length.
            IntegrityError: there is no public key to verify with. The function raises it for a wrong signature.
        """
        return self._signers.bind(key, spki, scheme, prehashed=prehashed)
