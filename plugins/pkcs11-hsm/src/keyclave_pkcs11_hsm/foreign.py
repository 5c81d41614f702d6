"""The keys in the token that no Keyclave made: what they are, and what stands in the way of adopting one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from keyclave.errors import IntegrityError, InvalidArgument
from keyclave.models import ALGORITHMS, get_algorithm
from keyclave.plugin import KeyLabel
from pkcs11 import Object, Session
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import AttributeTypeInvalid, ObjectHandleInvalid
from pkcs11.mechanisms import KeyType

from keyclave_pkcs11_hsm.addresses import fingerprint_of
from keyclave_pkcs11_hsm.places import Place
from keyclave_pkcs11_hsm.public_keys import EC_PARAMETERS, ED25519_PARAMETERS, read_spki
from keyclave_pkcs11_hsm.searching import search
from keyclave_pkcs11_hsm.templates import differences

__all__ = ["ForeignObject", "foreign_keys"]

_Halves: TypeAlias = dict[bytes, list[tuple[str, bytes]]]
_CURVES = {
    EC_PARAMETERS[256]: "ECDSA_P256",
    EC_PARAMETERS[384]: "ECDSA_P384",
    ED25519_PARAMETERS: "ED25519",
    bytes.fromhex("130c656477617264733235353139"): "ED25519",  # its name, as PKCS#11 3.0, section 2.3.5, has it
}
_AES_256_BYTES = 32
# ValueError: a label that is no UTF-8, or a type of key that only its maker knows.
_UNREADABLE = (ValueError, ObjectHandleInvalid, AttributeTypeInvalid)


class ForeignObject(NamedTuple):
    """A key that somebody else made.

    Attributes:
        place: where it would be found, if it were adopted.
        spki: its public key, DER SubjectPublicKeyInfo; ``None`` for a secret key, and where it cannot be told.
        algorithm: a name of `keyclave.models.algorithms`.
        obstacles: why it cannot be adopted; empty if it can.
    """

    place: Place
    spki: bytes | None
    algorithm: str
    obstacles: tuple[str, ...]


def foreign_keys(session: Session, algorithms: Collection[str], adopted: Collection[Place]) -> list[ForeignObject]:
    """Return the private and secret keys of these algorithms that no Keyclave made or adopted, in a stable order.

    Raises:
        PKCS11Error: the token does not search.
    """
    halves = _public_halves(session)
    found = [
        each
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
        for key in search(session, {Attribute.CLASS: kind, Attribute.TOKEN: True})
        for each in _looked_at(key, halves)
        if each.algorithm in algorithms
    ]
    seen = Counter(map(_found_by, found))
    free = (each for each in found if each.place not in adopted)
    distinct = {each.place: each if seen[_found_by(each)] == 1 else _ambiguous(each) for each in free}
    return sorted(distinct.values(), key=lambda each: (each.place.identifier, each.place.name, each.algorithm))


def _looked_at(key: Object, halves: _Halves) -> Iterator[ForeignObject]:
    """Yield what a private or secret key is, unless it is a Keyclave's, or gone by now."""
    with suppress(*_UNREADABLE):
        identifier, name = key[Attribute.ID], key[Attribute.LABEL]
        algorithm = _algorithm(key)
        if algorithm is None or _is_ours(name):
            return
        spki = _half(identifier, name, halves) if get_algorithm(algorithm).signs else None
        place = Place(identifier, name, adopted=True, fingerprint=fingerprint_of(spki))
        yield ForeignObject(place, spki, algorithm, tuple(_obstacles(key, place, algorithm)))


def _obstacles(key: Object, place: Place, algorithm: str) -> Iterator[str]:
    if not (place.identifier or place.name):
        yield "it has neither CKA_ID nor CKA_LABEL"
    if get_algorithm(algorithm).signs and place.fingerprint is None:
        yield "it has not exactly one public key object with its CKA_ID and CKA_LABEL"
    for attribute, wanted in differences(key, place, get_algorithm(algorithm), exportable=False):
        yield f"CKA_{attribute} must be {str(wanted).lower()}"


def _ambiguous(found: ForeignObject) -> ForeignObject:
    place = found.place._replace(fingerprint=None)
    return found._replace(place=place, spki=None, obstacles=("another key has its CKA_ID and CKA_LABEL",))


def _found_by(found: ForeignObject) -> tuple[bytes, str, bool]:
    return found.place.identifier, found.place.name, get_algorithm(found.algorithm).signs


def _is_ours(name: str) -> bool:
    try:
        KeyLabel.parse(name)
    except InvalidArgument:
        return False
    return True


def _public_halves(session: Session) -> _Halves:
    halves: _Halves = {}
    for each in search(session, {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.TOKEN: True}):
        with suppress(IntegrityError, *_UNREADABLE):
            halves.setdefault(each[Attribute.ID], []).append((each[Attribute.LABEL], read_spki(each)))
    return halves


def _half(identifier: bytes, name: str, halves: _Halves) -> bytes | None:
    """Return the public key with a CKA_ID; where there are several, the one that has the CKA_LABEL as well."""
    candidates = halves.get(identifier, [])
    named = {spki for label, spki in candidates if label == name} or {spki for _, spki in candidates}
    return named.pop() if len(named) == 1 else None


def _algorithm(key: Object) -> str | None:
    """Return the algorithm of a private or secret key, by what it says itself; ``None`` for one of no use here."""
    kind = key[Attribute.KEY_TYPE]
    if kind is KeyType.RSA:
        name = f"RSA_{int.from_bytes(key[Attribute.MODULUS], 'big').bit_length()}"
        return name if name in ALGORITHMS else None
    if kind in {KeyType.EC, KeyType.EC_EDWARDS}:
        return _CURVES.get(key[Attribute.EC_PARAMS])
    return "AES_256" if kind is KeyType.AES and key[Attribute.VALUE_LEN] == _AES_256_BYTES else None
