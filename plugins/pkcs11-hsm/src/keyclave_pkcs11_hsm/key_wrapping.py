"""How a token does RSA-AES key wrap: RSA-OAEP of an AES key, and AES-KWP (RFC 5649) of the key under it.

It has CKM_RSA_AES_KEY_WRAP, and does both steps in a single call; or the second step is a call of its own.

A mechanism's name does not say what it does: CKM_AES_KEY_WRAP_PAD is RFC 5649 in SoftHSM, and something else in NSS.
So the token shows it before a key is entrusted to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from keyclave.crypto.wrapping import generate_wrapping_key, unwrap_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from keyclave_pkcs11_hsm.errors import is_lost
from keyclave_pkcs11_hsm.mechanisms import Mechanisms
from keyclave_pkcs11_hsm.public_keys import public_attributes, to_spki
from keyclave_pkcs11_hsm.sessions import Session, SessionPool
from keyclave_pkcs11_hsm.templates import Template
from keyclave_pkcs11_hsm.wrapping_parameters import RSA_AES_KEY_WRAP, rsa_aes_parameters

__all__ = ["KeyWrapping", "find_aes_kwp", "passing", "wrap_at_once", "wrapping_template"]

_CANDIDATES = (Mechanism.AES_KEY_WRAP_KWP, Mechanism.AES_KEY_WRAP_PAD)
# Known to everybody, used for nothing else, and gone when the trial is over.
_TRIAL_KEK, _TRIAL_KEY = bytes(range(32)), bytes(range(32, 64))


@contextmanager
def passing(made: Any) -> Iterator[Any]:
    """Destroy an object of the session at the end."""
    try:
        yield made
    finally:
        with suppress(PKCS11Error):
            made.destroy()


def wrapping_template(spki: bytes) -> Template:
    """Return the attributes of an RSA key, DER SubjectPublicKeyInfo, that the session has to wrap others under it."""
    return {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: False,
        Attribute.WRAP: True,
        Attribute.ENCRYPT: False,
        Attribute.VERIFY: False,
        **public_attributes(spki),
    }


def wrap_at_once(wrapping_key: Any, key: Any, method: str) -> bytes:
    """Return a key wrapped by CKM_RSA_AES_KEY_WRAP.

    Raises:
        PKCS11Error: the token does not do this, or not with this key.
    """
    with rsa_aes_parameters(method) as parameters:
        wrapped: bytes = wrapping_key.wrap_key(key, mechanism=RSA_AES_KEY_WRAP, mechanism_param=parameters)
    return wrapped


class KeyWrapping:
    """What one token can do, tried when it is first wanted."""

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool
        self._found: Mechanism | None = None
        self._at_once: set[str] = set()

    def wrapping(self, method: str) -> Mechanism:
        """Return what the token wraps keys with: CKM_RSA_AES_KEY_WRAP, or else its AES-KWP for the second step.

        Args:
            method: a method of `keyclave.plugin`.

        Raises:
            CapabilityUnsupported: it has neither.
        """
        if method not in self._at_once and self._offers(MechanismFlag.WRAP):
            trial_key = generate_wrapping_key()
            if self._shows(lambda session: _wraps_at_once(session.raw, trial_key, method)):
                self._at_once.add(method)
        return RSA_AES_KEY_WRAP if method in self._at_once else self._aes_kwp()

    def unwrapping(self) -> tuple[Mechanism, ...]:
        """Return what the token may unwrap keys with, the preferred first; `make_wrapping_key` tries it.

        Raises:
            CapabilityUnsupported: it has neither CKM_RSA_AES_KEY_WRAP nor an AES-KWP.
        """
        if not self._offers(MechanismFlag.UNWRAP):
            return (self._aes_kwp(),)
        try:
            return (RSA_AES_KEY_WRAP, self._aes_kwp())
        except CapabilityUnsupported:
            return (RSA_AES_KEY_WRAP,)

    def _offers(self, flag: MechanismFlag) -> bool:
        def work(session: Session) -> bool:
            return Mechanisms(session.connection.token.slot).offers(RSA_AES_KEY_WRAP, flag)

        return self._pool.run(work)

    def _aes_kwp(self) -> Mechanism:
        if self._found is None:
            self._found = self._pool.run(lambda session: find_aes_kwp(session.raw))
        if self._found is None:
            raise CapabilityUnsupported("the token has no AES key wrap with padding as RFC 5649 describes it")
        return self._found

    def _shows(self, trial: Callable[[Session], bool]) -> bool:
        try:
            return self._pool.run(trial)
        except CapabilityUnsupported:
            return False


def find_aes_kwp(session: RawSession) -> Mechanism | None:
    """Return the mechanism by which the token wraps as RFC 5649 describes it; ``None`` if it has none.

    Raises:
        PKCS11Error: the token is lost.
    """
    return next((each for each in _CANDIDATES if _wraps_like_rfc5649(session, each)), None)


def _wraps_at_once(session: RawSession, trial_key: rsa.RSAPrivateKey, method: str) -> bool:
    """Return whether a key that the token just made, and that is used for nothing, comes out of its wrapped form."""
    made: Any = session.generate_key(
        KeyType.AES,
        256,
        capabilities=MechanismFlag.ENCRYPT,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True},
    )
    wrapping = wrapping_template(to_spki(trial_key.public_key()))
    with passing(made), passing(session.create_object(wrapping)) as wrapping_key:
        try:
            return len(unwrap_key(wrap_at_once(wrapping_key, made, method), trial_key, method)) == len(_TRIAL_KEY)
        except InvalidArgument:
            return False
        except PKCS11Error as error:
            if is_lost(error):
                raise
            return False


def _wraps_like_rfc5649(session: RawSession, mechanism: Mechanism) -> bool:
    kek_template = _trial_key(_TRIAL_KEK) | {Attribute.WRAP: True, Attribute.SENSITIVE: True}
    key_template = _trial_key(_TRIAL_KEY) | {Attribute.EXTRACTABLE: True, Attribute.ENCRYPT: True}
    try:
        with passing(session.create_object(kek_template)) as kek, passing(session.create_object(key_template)) as key:
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
