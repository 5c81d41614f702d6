"""The objects of a key in the token: found by their CKA_ID and CKA_LABEL, and looked at before they are used."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from keyclave.crypto.algorithms import algorithm_of, load_public_key
from keyclave.errors import IntegrityError, InvalidArgument, KeyclaveError, KeyNotFound
from keyclave.models import get_algorithm
from keyclave.plugin import KeyReference
from pkcs11 import EncryptMixin, Object, Session, SignMixin
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import AttributeTypeInvalid, ObjectHandleInvalid

from keyclave_pkcs11_hsm.addresses import fingerprint_of, require_address
from keyclave_pkcs11_hsm.aes_lengths import is_aes_256
from keyclave_pkcs11_hsm.evidence import key_evidence
from keyclave_pkcs11_hsm.places import Place
from keyclave_pkcs11_hsm.public_keys import read_spki
from keyclave_pkcs11_hsm.searching import search
from keyclave_pkcs11_hsm.softhsm_objects import is_half_made, undisturbed
from keyclave_pkcs11_hsm.templates import Template, require_template

__all__ = ["FoundKey", "find_key", "find_referenced", "objects_of", "several"]

Objects = dict[ObjectClass, list[Object]]
_SUSPICIOUS = "Do not use the key until you know why: somebody may have put another one in its place."


class FoundKey(NamedTuple):
    """A whole key in the token, of which every attribute is as it must be.

    Attributes:
        usable: the private or secret key.
        spki: its public key, DER SubjectPublicKeyInfo; ``None`` for a secret key.
        algorithm: a name of `keyclave.models.algorithms`.
        exportable: whether the token may release it, wrapped.
        evidence: what the token says of how it is kept, a sentence each.
        place: where it is.
    """

    usable: Object
    spki: bytes | None
    algorithm: str
    exportable: bool
    evidence: tuple[str, ...]
    place: Place


def objects_of(session: Session, place: Place) -> Objects:
    """Return the objects of a key, by their class; half a key may be among them.

    Raises:
        IntegrityError: an adopted key is there no more, and others are in its place.
    """
    named = {Attribute.ID: place.identifier, Attribute.LABEL: place.name, Attribute.TOKEN: True}
    if place.adopted:
        return _adopted(session, place, named)
    classes = (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.SECRET_KEY)
    return {kind: search(session, {Attribute.CLASS: kind, **named}) for kind in classes}


def _adopted(session: Session, place: Place, named: Template) -> Objects:
    """Return the objects of an adopted key. Others may have its CKA_ID as well, and objects of other classes both.

    Its public half may have another CKA_LABEL, and is told by what it is.
    """
    kind = ObjectClass.SECRET_KEY if place.fingerprint is None else ObjectClass.PRIVATE_KEY
    found: Objects = {ObjectClass.PRIVATE_KEY: [], ObjectClass.PUBLIC_KEY: [], ObjectClass.SECRET_KEY: []}
    found[kind] = search(session, {Attribute.CLASS: kind, **named})
    if place.fingerprint is None:
        return found
    public = search(
        session,
        {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: place.identifier, Attribute.TOKEN: True},
    )
    found[ObjectClass.PUBLIC_KEY] = [each for each in public if _is_half(each, place)]
    if found[kind] and public and not found[ObjectClass.PUBLIC_KEY]:
        raise _replaced()
    return found


def _is_half(public: Object, place: Place) -> bool:
    with suppress(IntegrityError, AttributeTypeInvalid):  # a key of others, that Keyclave could not use
        return fingerprint_of(read_spki(public)) == place.fingerprint
    return False


def find_key(session: Session, place: Place) -> FoundKey:
    """Return the key in this place.

    Raises:
        KeyNotFound: there is none, or only half of one.
        IntegrityError: there are several, or it is not as it was made.
        ObjectHandleInvalid: it was destroyed while it was looked at.
    """
    with undisturbed(session):
        return _found(session, place)


def _found(session: Session, place: Place) -> FoundKey:
    objects = objects_of(session, place)
    try:
        return _whole(objects, place)
    except AttributeTypeInvalid:
        failure = IntegrityError("a key in the token lacks what every key of its kind has", next_step=_SUSPICIOUS)
    except IntegrityError as error:
        failure = error
    # SoftHSM answers for an object that another thread is destroying as if it had lost its attributes.
    if _handles(objects_of(session, place)) != _handles(objects):
        raise ObjectHandleInvalid
    raise failure


def _whole(objects: Objects, place: Place) -> FoundKey:
    usable = objects[ObjectClass.PRIVATE_KEY] + objects[ObjectClass.SECRET_KEY]
    public = objects[ObjectClass.PUBLIC_KEY]
    if len(usable) > 1 or len(public) > 1:
        raise several()
    if not usable or (objects[ObjectClass.PRIVATE_KEY] and not public):
        raise KeyNotFound("the token has no key with this label")
    (key,) = usable
    if not place.adopted and is_half_made(key):
        raise KeyNotFound("the token has half a key with this label")
    if objects[ObjectClass.SECRET_KEY]:
        return _secret(key, place)
    spki = read_spki(public[0])
    algorithm = get_algorithm(algorithm_of(load_public_key(spki)))
    exportable = require_template(key, place, algorithm)
    return FoundKey(_able(key, SignMixin), spki, algorithm.name, exportable, key_evidence(key), place)


def several() -> KeyclaveError:
    """Return the error for a place where more than one key is."""
    return IntegrityError("the token has several keys with one label", next_step=_SUSPICIOUS)


def _able(key: Object, ability: type) -> Object:
    """Return a key that python-pkcs11 saw whole when it found it, and so gave the methods that go with it."""
    if not isinstance(key, ability):
        raise ObjectHandleInvalid
    return key


def _handles(objects: Objects) -> list[list[int | None]]:
    return [[each.handle for each in found] for found in objects.values()]


def find_referenced(session: Session, reference: KeyReference, place: Place) -> FoundKey:
    """Return the key that a reference names, once its public key was compared with the one in the address.

    Args:
        session: the session.
        reference: the key.
        place: where the key of its label is.

    Raises:
        KeyNotFound: it does not exist, or is not adopted any more.
        InvalidArgument: the address does not belong to the label, or the key is of another algorithm.
        IntegrityError: another key is in its place.
    """
    address = require_address(reference, place)
    found = find_key(session, place)
    if fingerprint_of(found.spki) != address.fingerprint:
        raise _replaced()
    if found.algorithm != reference.algorithm:
        raise InvalidArgument(f"the key is of algorithm {found.algorithm}, not {reference.algorithm}")
    return found


def _secret(found: Object, place: Place) -> FoundKey:
    algorithm = get_algorithm("AES_256")
    exportable = require_template(found, place, algorithm)
    if not is_aes_256(found):
        raise IntegrityError("a key in the token is no AES key of 256 bits")
    return FoundKey(_able(found, EncryptMixin), None, algorithm.name, exportable, key_evidence(found), place)


def _replaced() -> KeyclaveError:
    return IntegrityError("the key in the token is not the one that was created", next_step=_SUSPICIOUS)
