"""The keys of one Keyclave instance among all objects in the token; those of others are not even named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from keyclave.errors import InvalidArgument, KeyNotFound
from keyclave.plugin import KeyLabel
from pkcs11 import Session
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import ObjectHandleInvalid

from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.objects import FoundKey, find_key
from keyclave_pkcs11_hsm.places import place_of
from keyclave_pkcs11_hsm.searching import search

__all__ = ["keys_of"]


def keys_of(session: Session, instance_id: UUID, adoptions: Adoptions) -> list[tuple[KeyLabel, FoundKey]]:
    """Return every whole key of an instance, in the order of its labels."""
    places = {label: place_of(label) for label in _labels(session)} | dict(adoptions.all())
    found: list[tuple[KeyLabel, FoundKey]] = []
    for label in sorted(places, key=str):
        if label.instance_id == instance_id:
            # half a key, or one that was destroyed since its label, or its object, was found
            with suppress(KeyNotFound, ObjectHandleInvalid):
                found.append((label, find_key(session, places[label])))
    return found


def _labels(session: Session) -> Iterator[KeyLabel]:
    for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
        for each in search(session, {Attribute.CLASS: kind, Attribute.TOKEN: True}):
            with suppress(InvalidArgument, UnicodeDecodeError, ObjectHandleInvalid):
                label = KeyLabel.parse(each[Attribute.LABEL])
                if each[Attribute.ID] == place_of(label).identifier:
                    yield label
