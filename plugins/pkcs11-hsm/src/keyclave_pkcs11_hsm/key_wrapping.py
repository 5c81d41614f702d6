"""The two steps of RSA-AES key wrap in a token: RSA-OAEP of an AES key, and AES-KWP (RFC 5649) of the key under it.

A mechanism's name does not say what it does: CKM_AES_KEY_WRAP_PAD is RFC 5649 in SoftHSM, and something else in NSS.
So the token shows it with two keys that are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from keyclave.errors import CapabilityUnsupported
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1, RSA_AES_KEY_WRAP_SHA256
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import MGF, KeyType, Mechanism

from keyclave_pkcs11_hsm.errors import is_lost
from keyclave_pkcs11_hsm.sessions import SessionPool
from keyclave_pkcs11_hsm.templates import Template

__all__ = ["KeyWrapping", "oaep_parameters", "passing"]

_CANDIDATES = (Mechanism.AES_KEY_WRAP_KWP, Mechanism.AES_KEY_WRAP_PAD)
_OAEP = {
    RSA_AES_KEY_WRAP_SHA256: (Mechanism.SHA256, MGF.SHA256, None),
    RSA_AES_KEY_WRAP_SHA1: (Mechanism.SHA_1, MGF.SHA1, None),
}
# Known to everybody, used for nothing else, and gone when the trial is over.
_TRIAL_KEK, _TRIAL_KEY = bytes(range(32)), bytes(range(32, 64))


def oaep_parameters(method: str) -> tuple[Mechanism, MGF, None]:
    """Return the parameters of CKM_RSA_PKCS_OAEP for a method of `keyclave.plugin`.

    Raises:
        CapabilityUnsupported: there is no such method.
    """
    if method not in _OAEP:
        raise CapabilityUnsupported(f"keys cannot be wrapped by the method {method!r}")
    return _OAEP[method]


@contextmanager
def passing(made: Any) -> Iterator[Any]:
    """Destroy an object of the session at the end."""
    try:
        yield made
    finally:
        with suppress(PKCS11Error):
            made.destroy()


class KeyWrapping:
    """What one token can do, tried when it is first wanted."""

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool
        self._found: Mechanism | None = None

    def mechanism(self) -> Mechanism:
        """Return the token's AES-KWP.

        Raises:
            CapabilityUnsupported: it has none that does what RFC 5649 says.
        """
        if self._found is None:
            self._found = next(filter(self._fits, _CANDIDATES), None)
        if self._found is None:
            raise CapabilityUnsupported("the token has no AES key wrap with padding as RFC 5649 describes it")
        return self._found

    def _fits(self, mechanism: Mechanism) -> bool:
        try:
            return self._pool.run(lambda session: _wraps_like_rfc5649(session.raw, mechanism))
        except CapabilityUnsupported:
            return False


def _wraps_like_rfc5649(session: RawSession, mechanism: Mechanism) -> bool:
    kek: Any = session.create_object(_trial_key(_TRIAL_KEK) | {Attribute.WRAP: True, Attribute.SENSITIVE: True})
    with passing(kek):
        key = session.create_object(_trial_key(_TRIAL_KEY) | {Attribute.EXTRACTABLE: True, Attribute.ENCRYPT: True})
        with passing(key):
            try:
                wrapped: bytes = kek.wrap_key(key, mechanism=mechanism)
            except PKCS11Error as error:
                if is_lost(error):
                    raise
                return False
            return wrapped == aes_key_wrap_with_padding(_TRIAL_KEK, _TRIAL_KEY)


def _trial_key(value: bytes) -> Template:
    return {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.TOKEN: False,
        Attribute.SENSITIVE: False,
        Attribute.VALUE: value,
    }
