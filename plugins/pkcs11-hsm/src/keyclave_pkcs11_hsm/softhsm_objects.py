"""What SoftHSM does otherwise than others when it makes or removes an object of the token.

It writes an object attribute by attribute: first those of the template, then, all at once, the value and what belongs
to it, CKA_LOCAL among it. A process that is killed between the two leaves an object that looks like a key.

SoftHSM 2.6 reads its directory anew at every search, and fails at random (CKR_GENERAL_ERROR, now and then
CKR_TEMPLATE_INCONSISTENT) to make an object that a search in another thread of the process comes across before it is
whole: 24 of 208 keys beside three threads that searched, none of 242 beside three that signed. Signing needs no
search once a session knows the key, and is not held up. Other modules are not held up at all.

Now and then it fails in the same way beside threads that sign with a key that is being destroyed. Then the key is
made once more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pkcs11 import Object, Session
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import AttributeValueInvalid, GeneralError, PKCS11Error, TemplateInconsistent
from pkcs11.mechanisms import KeyType

__all__ = ["fails_at_random", "is_half_made", "undisturbed"]

_lock = threading.RLock()
_RANDOM = (GeneralError, TemplateInconsistent, AttributeValueInvalid)


@contextmanager
def undisturbed(session: Session) -> Iterator[None]:
    """Let no other thread of this process be in such a block at the same time, where the token is SoftHSM's."""
    if not _is_softhsm(session):
        yield
        return
    with _lock:
        yield


def fails_at_random(session: Session, error: PKCS11Error) -> bool:
    """Return whether making the same key again may well succeed."""
    return isinstance(error, _RANDOM) and _is_softhsm(session)


def is_half_made(key: Object) -> bool:
    """Return whether a private or secret key, made or unwrapped by Keyclave, has its template and no value yet."""
    if not _is_softhsm(key.session):
        return False
    if key.object_class is ObjectClass.SECRET_KEY:
        # It knows the length from the template of what it generates, and no length of what it unwraps.
        return bool(key[Attribute.VALUE_LEN]) and not key[Attribute.LOCAL]
    if key[Attribute.KEY_TYPE] is KeyType.RSA:
        return not key[Attribute.MODULUS]
    return not key[Attribute.EC_PARAMS]


def _is_softhsm(session: Session) -> bool:
    return "SoftHSM" in session.token.model
