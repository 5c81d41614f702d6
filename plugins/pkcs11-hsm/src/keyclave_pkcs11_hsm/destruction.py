"""Remove a key from the token, or half of one."""

from __future__ import annotations

from contextlib import suppress

from keyclave.errors import BackendUnavailable, IntegrityError, KeyNotFound, OutcomeUnknown
from keyclave.plugin import KeyReference
from pkcs11 import Session as RawSession
from pkcs11.constants import ObjectClass
from pkcs11.exceptions import ObjectHandleInvalid

from keyclave_pkcs11_hsm.addresses import address_in, require_address
from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.locking import TokenLock
from keyclave_pkcs11_hsm.objects import objects_of, several
from keyclave_pkcs11_hsm.places import Place
from keyclave_pkcs11_hsm.sessions import SessionPool
from keyclave_pkcs11_hsm.softhsm_objects import undisturbed

__all__ = ["Destruction", "remove_objects"]

_USABLE = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)


class Destruction:
    """Removes keys, one at a time over all threads and processes of this backend."""

    def __init__(self, pool: SessionPool, lock: TokenLock, adoptions: Adoptions, serial: str) -> None:
        self._pool = pool
        self._lock = lock
        self._adoptions = adoptions
        self._serial = serial

    def destroy(self, key: KeyReference) -> None:
        """Remove a key, whether it is there or not, and after it what is known of its adoption.

        Raises:
            InvalidArgument: the address does not belong to the label.
            KeyNotFound: it was made elsewhere, is not adopted, and is there.
            IntegrityError: an adopted key is there no more, and another one is in its place; or it is not there, and
                was in another token, of which this one says nothing.
            OutcomeUnknown: the token did not answer, and may have removed it; or it says so, and still has it.
        """
        with self._lock.held():
            place = self._adoptions.place(key.label)
            try:
                self._pool.run(lambda session: self._destroy(session.raw, key, place))
            except BackendUnavailable:
                unknown = True
            else:
                unknown = False
                self._adoptions.remove(key.label)
        if unknown:
            raise OutcomeUnknown("the token did not say whether it removed the key")

    def _destroy(self, session: RawSession, key: KeyReference, place: Place) -> None:
        try:
            require_address(key, place)
        except KeyNotFound:
            # Adopted and destroyed before, or never adopted, or the record of it was lost.
            objects = objects_of(session, address_in(key).adopted_place())
            if any(objects[kind] for kind in _USABLE):
                raise
            self._require_same_token(key)
            return
        if not any(objects_of(session, place).values()):
            self._require_same_token(key)
        remove_objects(session, place)
        if any(objects_of(session, place).values()):  # NSS says CKR_OK although it could not write
            raise OutcomeUnknown("the token says that it removed the key, and still has it")

    def _require_same_token(self, key: KeyReference) -> None:
        """Refuse to take a key for destroyed because another token does not have it."""
        serial = address_in(key).serial
        if serial != self._serial:
            raise IntegrityError(
                f"the key was in the token with serial number {serial!r}, and this is {self._serial!r}, which says"
                " nothing of it",
                next_step="Let the settings of the backend name the token of the key again.",
            )


def remove_objects(session: RawSession, place: Place) -> None:
    """Remove every object of a key; the private half first, so that what is left cannot be used."""
    objects = objects_of(session, place)
    if place.adopted and any(len(objects[kind]) > 1 for kind in _USABLE):
        raise several()  # and one of them is not Keyclave's
    for kind in (*_USABLE, ObjectClass.PUBLIC_KEY):
        for found in objects[kind]:
            with undisturbed(session), suppress(ObjectHandleInvalid):  # somebody else just did it
                found.destroy()
