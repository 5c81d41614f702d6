"""Search the token for objects."""

from __future__ import annotations

from typing import Any

from pkcs11 import Object, Session
from pkcs11.constants import Attribute
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.softhsm_objects import undisturbed

__all__ = ["search"]


def search(session: Session, attributes: dict[Attribute, Any]) -> list[Object]:
    """Return the objects that have all these attributes.

    Raises:
        PKCS11Error: the token does not search. Nothing of the search is alive any more: python-pkcs11 ends one when
            it is collected, and that must not be after the session was closed and its number given to another one.
    """
    try:
        with undisturbed(session):
            return list(session.get_objects(attributes))
    except PKCS11Error as error:
        failure = error.with_traceback(None)
    raise failure
