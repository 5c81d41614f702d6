"""The objects of a key in the token: found by the CKA_ID that its label gives, and looked at before they are used."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from keyclave.crypto.algorithms import algorithm_of, load_public_key
from keyclave.errors import IntegrityError, InvalidArgument, KeyclaveError, KeyNotFound
from keyclave.models import get_algorithm
from keyclave.plugin import KeyLabel, KeyReference
from pkcs11 import EncryptMixin, Object, Session, SignMixin
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import AttributeTypeInvalid, ObjectHandleInvalid

from keyclave_pkcs11_hsm.addresses import fingerprint_in, id_of
from keyclave_pkcs11_hsm.aes_lengths import is_aes_256
from keyclave_pkcs11_hsm.evidence import key_evidence
from keyclave_pkcs11_hsm.public_keys import read_spki
from keyclave_pkcs11_hsm.searching import search
from keyclave_pkcs11_hsm.softhsm_objects import undisturbed
from keyclave_pkcs11_hsm.templates import require_template

__all__ = ["FoundKey", "find_key", "find_referenced", "objects_of"]

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
    """

    usable: Object
    spki: bytes | None
    algorithm: str
    exportable: bool
    evidence: tuple[str, ...]


def objects_of(session: Session, label: KeyLabel) -> Objects:
    """Return the objects of a label, by their class; half a key may be among them."""
    named = {Attribute.ID: id_of(label), Attribute.LABEL: str(label), Attribute.TOKEN: True}
    classes = (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.SECRET_KEY)
    return {kind: search(session, {Attribute.CLASS: kind, **named}) for kind in classes}


def find_key(session: Session, label: KeyLabel) -> FoundKey:
    """Return the key with this label.

    Raises:
        KeyNotFound: there is none, or only half of one.
        IntegrityError: there are several, or it is not as it was made.
        ObjectHandleInvalid: it was destroyed while it was looked at.
    """
    with undisturbed(session):
        return _found(session, label)


def _found(session: Session, label: KeyLabel) -> FoundKey:
    objects = objects_of(session, label)
    try:
        return _whole(objects, label)
    except AttributeTypeInvalid:
        failure = IntegrityError("a key in the token lacks what every key of its kind has", next_step=_SUSPICIOUS)
    except IntegrityError as error:
        failure = error
    # SoftHSM answers for an object that another thread is destroying as if it had lost its attributes.
    if _handles(objects_of(session, label)) != _handles(objects):
        raise ObjectHandleInvalid
    raise failure


def _whole(objects: Objects, label: KeyLabel) -> FoundKey:
    usable = objects[ObjectClass.PRIVATE_KEY] + objects[ObjectClass.SECRET_KEY]
    public = objects[ObjectClass.PUBLIC_KEY]
    if len(usable) > 1 or len(public) > 1:
        raise IntegrityError("the token has several keys with one label", next_step=_SUSPICIOUS)
    if not usable or (objects[ObjectClass.PRIVATE_KEY] and not public):
        raise KeyNotFound("the token has no key with this label")
    (key,) = usable
    if objects[ObjectClass.SECRET_KEY]:
        return _secret(key, label)
    spki = read_spki(public[0])
    algorithm = get_algorithm(algorithm_of(load_public_key(spki)))
    exportable = require_template(key, label, algorithm)
    return FoundKey(_able(key, SignMixin), spki, algorithm.name, exportable, key_evidence(key))


def _able(key: Object, ability: type) -> Object:
    """Return a key that python-pkcs11 saw whole when it found it, and so gave the methods that go with it."""
    if not isinstance(key, ability):
        raise ObjectHandleInvalid
    return key


def _handles(objects: Objects) -> list[list[int | None]]:
    return [[each.handle for each in found] for found in objects.values()]


def find_referenced(session: Session, reference: KeyReference) -> FoundKey:
    """Return the key that a reference names, once its public key was compared with the one in the address.

    Raises:
        KeyNotFound: it does not exist.
        InvalidArgument: the address does not belong to the label, or the key is of another algorithm.
        IntegrityError: another key is in its place.
    """
    expected = fingerprint_in(reference)
    found = find_key(session, reference.label)
    if (found.spki is None) is not (expected is None):
        raise _replaced()
    if found.spki is not None and hashlib.sha256(found.spki).hexdigest() != expected:
        raise _replaced()
    if found.algorithm != reference.algorithm:
        raise InvalidArgument(f"the key is of algorithm {found.algorithm}, not {reference.algorithm}")
    return found


def _secret(found: Object, label: KeyLabel) -> FoundKey:
    algorithm = get_algorithm("AES_256")
    exportable = require_template(found, label, algorithm)
    if not is_aes_256(found):
        raise IntegrityError("a key in the token is no AES key of 256 bits")
    return FoundKey(_able(found, EncryptMixin), None, algorithm.name, exportable, key_evidence(found))


def _replaced() -> KeyclaveError:
    return IntegrityError("the key in the token is not the one that was created", next_step=_SUSPICIOUS)
