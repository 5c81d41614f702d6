"""Backends on a PKCS#11 token, with mistakes that their makers make again and again."""

from __future__ import annotations

import hashlib
import threading
import time
from functools import cached_property
from typing import Any

from keyclave.crypto.algorithms import algorithm_of, load_public_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyNotFound
from keyclave.plugin import (
    BackendDescription,
    CreatedKey,
    CreateKeyRequest,
    DestroyResult,
    DestroyState,
    ImportTicket,
    KeyLabel,
    KeyPage,
    KeyReference,
    SignatureEncoding,
    Signed,
    WrappedKey,
    hookimpl,
)
from keyclave_pkcs11_hsm.errors import translate
from keyclave_pkcs11_hsm.objects import find_referenced, objects_of
from keyclave_pkcs11_hsm.places import Place, place_of
from keyclave_pkcs11_hsm.public_keys import read_spki
from keyclave_pkcs11_hsm.searching import search
from keyclave_pkcs11_hsm.sessions import Session
from msgspec import structs
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import MGF, Mechanism

from tests.zoo.fault import pkcs11_fault
from tests.zoo.pkcs11 import SECRET_PIN, ZooPkcs11

_MOMENT = 0.003


def private_key(session: Session, key: KeyReference) -> Any:
    """Return the private key that a session sees."""
    return find_referenced(session.raw, key, place_of(key.label)).usable


@pkcs11_fault({21: "does not verify"})
class TokenHashesTheDigest(ZooPkcs11):
    """Gives a digest to a mechanism that hashes, such as CKM_ECDSA_SHA256."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(key, data if scheme == "ED25519" else hashlib.sha256(data).digest(), scheme)


@pkcs11_fault({33: "declared as DER is none"})
class TokenSignsDer(ZooPkcs11):
    """Describes signatures as DER, and returns r and s side by side, as PKCS#11 has them."""

    @hookimpl
    def describe(self) -> BackendDescription:
        whole = super().describe()
        return structs.replace(
            whole,
            algorithms=tuple(
                structs.replace(
                    support,
                    schemes=tuple(
                        structs.replace(scheme, encoding=SignatureEncoding.DER)
                        if scheme.scheme.startswith("ECDSA")
                        else scheme
                        for scheme in support.schemes
                    ),
                )
                for support in whole.algorithms
            ),
        )


@pkcs11_fault({34: "the salt has 0 bytes, not 32"})
class PssParametersAreLeftAtZero(ZooPkcs11):
    """Leaves the length of the salt in CK_RSA_PKCS_PSS_PARAMS as it was when the memory was cleared."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if not scheme.startswith("RSA_PSS"):
            return super().sign(key, data, scheme)
        parameters = (Mechanism.SHA256, MGF.SHA256, 0)
        return Signed(
            signature=self._pool.run(
                lambda session: private_key(session, key).sign(
                    data, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=parameters
                )
            )
        )


@pkcs11_fault({96: "is not over its message"})
class ThreadsShareASession(ZooPkcs11):
    """Has one session for all threads, and no lock between C_SignInit, C_SignUpdate and C_SignFinal.

    What the token does then is its own affair, and some crash. So the active operation is acted out here.
    """

    active = b""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        self.active = data
        time.sleep(_MOMENT)
        return super().sign(key, self.active, scheme)


@pkcs11_fault({5: "signing with a destroyed key raised"})
class HandlesOutliveTheirKeys(ZooPkcs11):
    """Keeps handles for good, and passes on what the token says to one that is worth nothing any more."""

    @cached_property
    def handles(self) -> dict[str, Any]:
        return {}

    @cached_property
    def session(self) -> Session:
        return self._pool.take()

    @cached_property
    def lock(self) -> threading.Lock:
        return threading.Lock()

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        if key.algorithm != "ECDSA_P256":
            return super().sign(key, data, scheme)
        try:
            with self.lock:
                handle = self.handles.get(key.uri) or private_key(self.session, key)
                self.handles[key.uri] = handle
                return Signed(signature=handle.sign(data, mechanism=Mechanism.ECDSA))
        except PKCS11Error as error:
            failure = translate(error)
        raise failure


@pkcs11_fault({70: "made with the key of version 1"})
class HandlesAreKeptByAlgorithm(ZooPkcs11):
    """Keeps the handle of a key under what it is, and not under which it is."""

    @cached_property
    def first(self) -> dict[str, KeyReference]:
        return {}

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        return super().sign(self.first.setdefault(key.algorithm, key), data, scheme)


@pkcs11_fault({59: "not exportable succeeded"})
class EveryKeyIsExtractable(ZooPkcs11):
    """Leaves CKA_EXTRACTABLE true for a migration some day, and does not say so."""

    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        made = super().create_key(structs.replace(request, exportable=True))
        return structs.replace(made, exportable=request.exportable)


@pkcs11_fault({12: "a key of another instance"})
class TokenIsListedAsAWhole(ZooPkcs11):
    """Lists every key in the token that some Keyclave made."""

    @hookimpl
    def list_keys(self, page: str | None) -> KeyPage:
        if page is not None:
            raise InvalidArgument("the page did not come from this backend")
        names = self._pool.run(_names)
        labels = [KeyLabel.parse(name) for name in names if name.startswith("keyclave:")]
        return KeyPage(keys=tuple(self.find_key(label) for label in labels))


def _names(session: Session) -> list[str]:
    kinds = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
    return [
        str(found[Attribute.LABEL])
        for kind in kinds
        for found in search(session.raw, {Attribute.CLASS: kind, Attribute.TOKEN: True})
    ]


@pkcs11_fault({91: "by a label that nearly is its own succeeded"})
class IdentifierIsCutShort(ZooPkcs11):
    """Finds keys by a CKA_ID that has room for the id of the key alone, and does not look at CKA_LABEL."""

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        for key in super().list_keys(None).keys:
            if key.label.key_id == label.key_id:
                return key
        raise KeyNotFound("the token has no key with this label")


@pkcs11_fault({57: "with a block after it succeeded"})
class ZerosAfterTheKeyAreFine(ZooPkcs11):
    """Takes zeros after a wrapped key for what SoftHSM puts there, wherever they come from."""

    @hookimpl
    def import_key(self, ticket: ImportTicket, wrapped: WrappedKey) -> CreatedKey:
        blob = wrapped.blob
        while blob.endswith(bytes(8)):
            blob = blob[:-8]
        return super().import_key(ticket, structs.replace(wrapped, blob=blob))


@pkcs11_fault({5: "finding a destroyed key succeeded"})
class PublicHalvesStay(ZooPkcs11):
    """Destroys the private object alone, and finds a key by its public one."""

    @hookimpl
    def destroy_key(self, key: KeyReference) -> DestroyResult:
        self._pool.run(lambda session: _destroy_usable(session, key.label))
        return DestroyResult(state=DestroyState.DESTROYED)

    @hookimpl
    def find_key(self, label: KeyLabel) -> KeyReference:
        place = place_of(label)
        spki = self._pool.run(lambda session: _half(session, place))
        if spki is None:
            return super().find_key(label)
        algorithm = algorithm_of(load_public_key(spki))
        return KeyReference(label=label, uri=self._uri(place, spki, secret=False), algorithm=algorithm)


def _half(session: Session, place: Place) -> bytes | None:
    halves = objects_of(session.raw, place)[ObjectClass.PUBLIC_KEY]
    return read_spki(halves[0]) if halves else None


def _destroy_usable(session: Session, label: KeyLabel) -> None:
    objects = objects_of(session.raw, place_of(label))
    for found in objects[ObjectClass.PRIVATE_KEY] + objects[ObjectClass.SECRET_KEY]:
        found.destroy()


@pkcs11_fault({116: "a secret of the settings is in an error"})
class PinsAreInErrors(ZooPkcs11):
    """Says with which login a call was refused."""

    @hookimpl
    def sign(self, key: KeyReference, data: bytes, scheme: str) -> Signed:
        try:
            return super().sign(key, data, scheme)
        except CapabilityUnsupported as error:
            message = error.message
        raise CapabilityUnsupported(f"{message}, logged in with {SECRET_PIN.decode()}")
