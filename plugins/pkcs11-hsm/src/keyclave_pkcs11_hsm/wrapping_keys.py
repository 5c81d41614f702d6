"""RSA keys that live in the token for one import."""

from __future__ import annotations

import secrets
import threading
from typing import Any, NamedTuple

from keyclave.crypto.wrapping import METHODS, load_wrapping_key, oaep_of
from keyclave.errors import CapabilityUnsupported
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from keyclave_pkcs11_hsm.errors import is_lost
from keyclave_pkcs11_hsm.key_wrapping import oaep_parameters, passing
from keyclave_pkcs11_hsm.public_keys import rsa_spki

__all__ = ["WrappingKey", "make_wrapping_key", "unwrap_kek"]

_BITS = 3072
_KEK_BYTES = 32


class WrappingKey(NamedTuple):
    """A key pair in the token, gone with the login under which it was made.

    Attributes:
        private: the private key, which unwraps.
        lock: held while it works: its session is one that several threads know.
        spki: the public key, DER SubjectPublicKeyInfo.
        method: the method of `keyclave.plugin` that the token unwraps.
    """

    private: Any
    lock: threading.Lock
    spki: bytes
    method: str

    @property
    def size(self) -> int:
        """How many bytes the first part of a blob has that is wrapped under it."""
        return _BITS // 8


def make_wrapping_key(session: RawSession, lock: threading.Lock, wanted: str | None) -> WrappingKey:
    """Return a new key, and find out with it which hash the token's OAEP has.

    Args:
        session: the session that the key lives with.
        lock: held here, and by everybody else who uses the session.
        wanted: the method, where there is no choice.

    Raises:
        CapabilityUnsupported: the token does not unwrap by the method, or by any.
        PKCS11Error: it does not make the key.
    """
    with lock:
        public, private = session.generate_keypair(
            KeyType.RSA,
            _BITS,
            capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
            mechanism=Mechanism.RSA_PKCS_KEY_PAIR_GEN,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
        spki = rsa_spki(public)
        public.destroy()
        for method in METHODS if wanted is None else (wanted,):
            if _unwraps(private, spki, method):
                return WrappingKey(private, lock, spki, method)
        private.destroy()
    raise CapabilityUnsupported(f"the token cannot unwrap keys by the method {wanted or METHODS[-1]!r}")


def unwrap_kek(private: Any, wrapped: bytes, method: str) -> Any:
    """Return the AES key in the first part of a blob, as an object of the session that unwraps.

    Raises:
        PKCS11Error: it is not such a key, or the token does not do this.
    """
    return private.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.AES,
        wrapped,
        mechanism=Mechanism.RSA_PKCS_OAEP,
        mechanism_param=oaep_parameters(method),
        capabilities=MechanismFlag.UNWRAP,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def _unwraps(private: Any, spki: bytes, method: str) -> bool:
    wrapped = load_wrapping_key(spki).encrypt(secrets.token_bytes(_KEK_BYTES), oaep_of(method))
    try:
        with passing(unwrap_kek(private, wrapped, method)):
            return True
    except PKCS11Error as error:
        if is_lost(error):
            raise
        return False
