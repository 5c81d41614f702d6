"""Adopt keys that are in the token already, and give them back. Nothing is written to the token by that."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from keyclave.errors import CapabilityUnsupported, Conflict, InvalidArgument, KeyNotFound
from keyclave.models import get_algorithm
from keyclave.plugin import AdoptKeyRequest, ForeignKey, KeyReference
from pkcs11.constants import ObjectClass

from keyclave_pkcs11_hsm.addresses import address_in
from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.foreign import ForeignObject, foreign_keys
from keyclave_pkcs11_hsm.locking import TokenLock
from keyclave_pkcs11_hsm.objects import FoundKey, find_key, objects_of
from keyclave_pkcs11_hsm.places import Place
from keyclave_pkcs11_hsm.sessions import Session, SessionPool

__all__ = ["Adopting"]


class _AddressOf(Protocol):
    """How an address is made for a key of the token: see `keyclave_pkcs11_hsm.addresses.uri_of`."""

    def __call__(self, place: Place, spki: bytes | None, *, secret: bool) -> str: ...


class Adopting:
    """Adopts keys, one at a time over all threads and processes of this backend."""

    def __init__(
        self,
        pool: SessionPool,
        lock: TokenLock,
        adoptions: Adoptions,
        algorithms: Collection[str],
        address_of: _AddressOf,
    ) -> None:
        self._pool = pool
        self._lock = lock
        self._adoptions = adoptions
        self._algorithms = algorithms
        self._address_of = address_of

    def listed(self) -> tuple[ForeignKey, ...]:
        """Return the keys that no Keyclave made, those that `adopt` would refuse among them."""
        return tuple(
            ForeignKey(
                uri=self._uri(found), algorithm=found.algorithm, description=_described(found), public_key=found.spki
            )
            for found in self._foreign()
        )

    def adopt(self, request: AdoptKeyRequest) -> FoundKey:
        """Return the key with an address, once it is durable that it is the key of a label.

        Raises:
            KeyNotFound: there is none.
            Conflict: the key is a Keyclave's, or the label another key's.
            CapabilityUnsupported: it is of another algorithm, or not as a key of Keyclave must be.
        """
        with self._lock.held():
            place = self._adoptions.place(request.label)
            if place.adopted:
                return self._again(request, place)
            foreign = self._named(request)
            if foreign.algorithm != request.algorithm:
                raise CapabilityUnsupported(f"the key is of algorithm {foreign.algorithm}")
            if foreign.obstacles:
                raise CapabilityUnsupported(
                    f"the key cannot be adopted: {'; '.join(foreign.obstacles)}",
                    next_step="Set the attributes with the tool of the token's maker, or make a new key.",
                )
            found = self._pool.run(lambda session: find_key(session.raw, foreign.place))
            self._adoptions.add(request.label, foreign.place)
            return found

    def forget(self, key: KeyReference) -> None:
        """Forget that a key was adopted, if it was.

        Raises:
            InvalidArgument: the key was created or imported.
            OutcomeUnknown: it may still be known.
        """
        with self._lock.held():
            place = self._adoptions.place(key.label)
            if place.adopted:
                if address_in(key).is_of(place):
                    self._adoptions.remove(key.label)
                return
            objects = self._pool.run(lambda session: objects_of(session.raw, place))
            if objects[ObjectClass.PRIVATE_KEY] or objects[ObjectClass.SECRET_KEY]:
                raise InvalidArgument("the key was created or imported, not adopted")

    def _foreign(self) -> list[ForeignObject]:
        def work(session: Session) -> list[ForeignObject]:
            return foreign_keys(session.raw, self._algorithms, {place for _, place in self._adoptions.all()})

        return self._pool.run(work)

    def _again(self, request: AdoptKeyRequest, place: Place) -> FoundKey:
        """Return the key that is adopted under the label of a request already, if it is the one asked for."""
        found = self._pool.run(lambda session: find_key(session.raw, place))
        if self._address_of(place, found.spki, secret=found.spki is None) != request.uri:
            raise Conflict("the label is that of another key", retryable=False)
        self._adoptions.add(request.label, place)
        return found

    def _named(self, request: AdoptKeyRequest) -> ForeignObject:
        foreign = next((each for each in self._foreign() if self._uri(each) == request.uri), None)
        if foreign is not None:
            return foreign
        address = address_in(KeyReference(label=request.label, uri=request.uri, algorithm=request.algorithm))
        if address.is_ours or any(address.is_of(place) for _, place in self._adoptions.all()):
            raise Conflict("the key is a Keyclave's already", retryable=False)
        raise KeyNotFound("the token has no key of this address")

    def _uri(self, found: ForeignObject) -> str:
        return self._address_of(found.place, found.spki, secret=not get_algorithm(found.algorithm).signs)


def _described(found: ForeignObject) -> str:
    known = f"CKA_LABEL {found.place.name!r}, CKA_ID {found.place.identifier.hex() or 'empty'}"
    return f"{known}; cannot be adopted: {'; '.join(found.obstacles)}" if found.obstacles else known
