"""What a key in the token is made with, and must show when it is looked at: kept in the token, one role, no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keyclave.errors import IntegrityError
from keyclave.models import AlgorithmFamily, KeyAlgorithm
from keyclave.plugin import KeyLabel
from pkcs11 import Object
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import AttributeTypeInvalid
from pkcs11.mechanisms import KeyType

from keyclave_pkcs11_hsm.addresses import id_of

__all__ = ["KEY_TYPES", "Template", "private_template", "public_template", "require_template", "secret_template"]

Template = dict[Attribute, Any]

KEY_TYPES: Mapping[AlgorithmFamily, KeyType] = {
    AlgorithmFamily.RSA: KeyType.RSA,
    AlgorithmFamily.EC: KeyType.EC,
    AlgorithmFamily.ED25519: KeyType.EC_EDWARDS,
    AlgorithmFamily.AES: KeyType.AES,
}


def private_template(label: KeyLabel, *, exportable: bool) -> Template:
    """Return the attributes of a private key, which signs and does nothing else."""
    return {
        **_kept(label, ObjectClass.PRIVATE_KEY, exportable=exportable),
        Attribute.SIGN: True,
        Attribute.SIGN_RECOVER: False,
        Attribute.DECRYPT: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }


def secret_template(label: KeyLabel, *, exportable: bool) -> Template:
    """Return the attributes of an AES key, which encrypts, decrypts and does nothing else."""
    return {
        **_kept(label, ObjectClass.SECRET_KEY, exportable=exportable),
        Attribute.ENCRYPT: True,
        Attribute.DECRYPT: True,
        Attribute.SIGN: False,
        Attribute.VERIFY: False,
        Attribute.WRAP: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }


def public_template(label: KeyLabel) -> Template:
    """Return the attributes of a public key: it can be read by everybody, and verifies."""
    return {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: False,
        Attribute.ID: id_of(label),
        Attribute.LABEL: str(label),
        Attribute.VERIFY: True,
        Attribute.ENCRYPT: False,
        Attribute.WRAP: False,
    }


def require_template(found: Object, label: KeyLabel, algorithm: KeyAlgorithm) -> bool:
    """Return whether a private or secret key in the token is exportable; refuse one that differs otherwise.

    Raises:
        IntegrityError: it is not as its template says.
    """
    exportable = bool(found[Attribute.EXTRACTABLE])
    make = private_template if algorithm.signs else secret_template
    for attribute, wanted in {
        **make(label, exportable=exportable),
        Attribute.KEY_TYPE: KEY_TYPES[algorithm.family],
    }.items():
        if _read(found, attribute, wanted) != wanted:
            raise IntegrityError(
                f"a key in the token differs from what it was made with: CKA_{attribute.name}",
                next_step="Find out who changed it, or what made it: Keyclave does not use it.",
            )
    return exportable


def _kept(label: KeyLabel, kind: ObjectClass, *, exportable: bool) -> Template:
    return {
        Attribute.CLASS: kind,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: exportable,
        Attribute.ID: id_of(label),
        Attribute.LABEL: str(label),
    }


def _read(found: Object, attribute: Attribute, wanted: Any) -> Any:
    """Return an attribute; a use that is off may be one that the token does not know at all."""
    try:
        return found[attribute]
    except AttributeTypeInvalid:
        return False if wanted is False else None
