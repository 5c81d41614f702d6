"""What a key in the token is made with, and must show when it is looked at: kept in the token, one role, no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keyclave.errors import IntegrityError
from keyclave.models import AlgorithmFamily, KeyAlgorithm
from pkcs11 import Object
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import AttributeTypeInvalid
from pkcs11.mechanisms import KeyType

from keyclave_pkcs11_hsm.places import Place

__all__ = [
    "KEY_TYPES",
    "Template",
    "differences",
    "private_template",
    "public_template",
    "require_template",
    "secret_template",
]

Template = dict[Attribute, Any]

KEY_TYPES: Mapping[AlgorithmFamily, KeyType] = {
    AlgorithmFamily.RSA: KeyType.RSA,
    AlgorithmFamily.EC: KeyType.EC,
    AlgorithmFamily.ED25519: KeyType.EC_EDWARDS,
    AlgorithmFamily.AES: KeyType.AES,
}


def private_template(place: Place, *, exportable: bool) -> Template:
    """Return the attributes of a private key, which signs and does nothing else."""
    return {
        **_kept(place, ObjectClass.PRIVATE_KEY, exportable=exportable),
        Attribute.SIGN: True,
        Attribute.SIGN_RECOVER: False,
        Attribute.DECRYPT: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }


def secret_template(place: Place, *, exportable: bool) -> Template:
    """Return the attributes of an AES key, which encrypts, decrypts and does nothing else."""
    return {
        **_kept(place, ObjectClass.SECRET_KEY, exportable=exportable),
        Attribute.ENCRYPT: True,
        Attribute.DECRYPT: True,
        Attribute.SIGN: False,
        Attribute.VERIFY: False,
        Attribute.WRAP: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }


def public_template(place: Place) -> Template:
    """Return the attributes of a public key: it can be read by everybody, and verifies."""
    return {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: False,
        Attribute.ID: place.identifier,
        Attribute.LABEL: place.name,
        Attribute.VERIFY: True,
        Attribute.ENCRYPT: False,
        Attribute.WRAP: False,
    }


def require_template(found: Object, place: Place, algorithm: KeyAlgorithm) -> bool:
    """Return whether a private or secret key in the token is exportable; refuse one that differs otherwise.

    An adopted key must not be exportable: nobody asked for that, and it could have left the token before.

    Raises:
        IntegrityError: it is not as its template says.
    """
    exportable = not place.adopted and bool(found[Attribute.EXTRACTABLE])
    for attribute, _ in differences(found, place, algorithm, exportable=exportable):
        raise IntegrityError(
            f"a key in the token differs from what it must be: CKA_{attribute}",
            next_step="Find out who changed it, or what made it: Keyclave does not use it.",
        )
    return exportable


def differences(
    found: Object, place: Place, algorithm: KeyAlgorithm, *, exportable: bool
) -> Iterator[tuple[str, Any]]:
    """Yield what a private or secret key must have and does not: the name of an attribute, and what it must be."""
    make = private_template if algorithm.signs else secret_template
    wanted = {**make(place, exportable=exportable), Attribute.KEY_TYPE: KEY_TYPES[algorithm.family]}
    for attribute, value in wanted.items():
        if _read(found, attribute, value) != value:
            yield attribute.name, value


def _kept(place: Place, kind: ObjectClass, *, exportable: bool) -> Template:
    return {
        Attribute.CLASS: kind,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: exportable,
        Attribute.ID: place.identifier,
        Attribute.LABEL: place.name,
    }


def _read(found: Object, attribute: Attribute, wanted: Any) -> Any:
    """Return an attribute; a use that is off may be one that the token does not know at all."""
    try:
        return found[attribute]
    except AttributeTypeInvalid:
        return False if wanted is False else None
