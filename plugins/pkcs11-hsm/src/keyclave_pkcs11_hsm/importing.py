"""Import keys: a ticket with a wrapping key, then the wrapped key."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import rsa
from keyclave.crypto.wrapping import METHODS, generate_wrapping_key, oaep_of
from keyclave.errors import (
    CapabilityUnsupported,
    InvalidArgument,
    KeyAlreadyExists,
    KeyclaveError,
    KeyNotFound,
    OutcomeUnknown,
)
from keyclave.models import AlgorithmFamily, get_algorithm
from keyclave.plugin import ImportKeyRequest, ImportTicket, WrappedKey
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.creation import require_same
from keyclave_pkcs11_hsm.destruction import remove_objects
from keyclave_pkcs11_hsm.ed25519_import import keep_ed25519_key, unwrap_ed25519_key
from keyclave_pkcs11_hsm.errors import translate
from keyclave_pkcs11_hsm.key_wrapping import KeyWrapping
from keyclave_pkcs11_hsm.locking import TokenLock
from keyclave_pkcs11_hsm.objects import FoundKey, find_key
from keyclave_pkcs11_hsm.places import place_of
from keyclave_pkcs11_hsm.public_keys import to_spki
from keyclave_pkcs11_hsm.sessions import Session, SessionPool
from keyclave_pkcs11_hsm.softhsm_objects import undisturbed
from keyclave_pkcs11_hsm.tickets import Tickets
from keyclave_pkcs11_hsm.unwrapping import import_wrapped
from keyclave_pkcs11_hsm.wrapping_keys import WrappingKey, make_wrapping_key

__all__ = ["Importing"]

_WRAPPED_BYTES = 4096  # that of an RSA-4096 key has less than 3,000
_Key: TypeAlias = WrappingKey | rsa.RSAPrivateKey


class Importing:
    """Imports keys into the token."""

    def __init__(self, pool: SessionPool, lock: TokenLock, wrapping: KeyWrapping, algorithms: frozenset[str]) -> None:
        self._pool = pool
        self._lock = lock
        self._wrapping = wrapping
        self._algorithms = algorithms
        self._tickets: Tickets[_Key] = Tickets(_discard)
        self._anchor_lock = threading.Lock()

    def begin(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a ticket that is good for one attempt within 15 minutes.

        Raises:
            CapabilityUnsupported: the token has no such keys, or does not unwrap them.
        """
        if get_algorithm(request.algorithm).name not in self._algorithms:
            raise CapabilityUnsupported(f"the token has no keys of algorithm {request.algorithm}")
        if get_algorithm(request.algorithm).family is AlgorithmFamily.ED25519:
            method = request.method or METHODS[0]
            oaep_of(method)
            wrapping_key = generate_wrapping_key()
            return self._tickets.issue(request, method, to_spki(wrapping_key.public_key()), wrapping_key)
        mechanisms = self._wrapping.unwrapping()
        made = self._pool.run(
            lambda session: make_wrapping_key(
                session.connection.anchor, self._anchor_lock, request.method, mechanisms
            )
        )
        return self._tickets.issue(request, made.method, made.spki, made)

    def finish(self, ticket: ImportTicket, wrapped: WrappedKey) -> FoundKey:
        """Import the wrapped key.

        Raises:
            InvalidArgument: the ticket or the wrapped key is no good.
            KeyAlreadyExists: there is a key of this label.
            OutcomeUnknown: the token did not answer, and what it made could not be looked for.
        """
        wrapping_key = self._tickets.take(ticket)
        try:
            if wrapped.method != ticket.method:
                raise InvalidArgument(f"the ticket asks for a key wrapped by {ticket.method}")
            if len(wrapped.blob) > _WRAPPED_BYTES:
                raise InvalidArgument(f"the wrapped key has more than {_WRAPPED_BYTES} bytes")
            with self._lock.held():
                return self._import(ticket.request, wrapped, wrapping_key)
        finally:
            _discard(wrapping_key)

    def close(self) -> None:
        """End all tickets."""
        self._tickets.clear()

    def _import(self, request: ImportKeyRequest, wrapped: WrappedKey, wrapping_key: _Key) -> FoundKey:
        self._pool.run(lambda session: _require_free(session, request))
        try:
            self._keep(request, wrapped, wrapping_key)
            return self._pool.run(
                lambda session: require_same(find_key(session.raw, place_of(request.label)), request)
            )
        except PKCS11Error as error:
            failure = translate(error)
        except KeyclaveError as error:
            failure = error
        try:
            self._pool.run(lambda session: remove_objects(session.raw, place_of(request.label)))
        except KeyclaveError:
            failure = OutcomeUnknown("the token did not say whether it imported the key")
        raise failure

    def _keep(self, request: ImportKeyRequest, wrapped: WrappedKey, wrapping_key: _Key) -> None:
        if isinstance(wrapping_key, WrappingKey):
            import_wrapped(wrapping_key, wrapped.blob, request)
            return
        private_key = unwrap_ed25519_key(wrapping_key, wrapped.blob, wrapped.method)

        def work(session: Session) -> None:
            remove_objects(session.raw, place_of(request.label))  # half a key, if this is the second turn
            with undisturbed(session.raw):
                keep_ed25519_key(session.raw, private_key, request)

        self._pool.run(work)


def _require_free(session: Session, request: ImportKeyRequest) -> None:
    with suppress(KeyNotFound):
        find_key(session.raw, place_of(request.label))
        raise KeyAlreadyExists("a key of this label exists")
    remove_objects(session.raw, place_of(request.label))


def _discard(wrapping_key: _Key) -> None:
    """Destroy the key of a ticket that is used up, where it is in the token."""
    if isinstance(wrapping_key, WrappingKey):
        with wrapping_key.lock, suppress(PKCS11Error):
            wrapping_key.private.destroy()
