"""RSA keys that live in the token for one import."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any, NamedTuple

from keyclave.crypto.wrapping import METHODS, oaep_of, wrap_key
from keyclave.errors import CapabilityUnsupported
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism
from pydantic import SecretBytes

from keyclave_pkcs11_hsm.errors import is_lost
from keyclave_pkcs11_hsm.key_wrapping import passing
from keyclave_pkcs11_hsm.public_keys import rsa_spki
from keyclave_pkcs11_hsm.wrapping_parameters import RSA_AES_KEY_WRAP, oaep_parameters, rsa_aes_parameters

__all__ = ["WrappingKey", "make_wrapping_key", "unwrapping"]

_BITS = 3072
_TRIAL_BYTES = 32


class WrappingKey(NamedTuple):
    """A key pair in the token, gone with the login under which it was made.

    Attributes:
        private: the private key, which unwraps.
        lock: held while it works: its session is one that several threads know.
        spki: the public key, DER SubjectPublicKeyInfo.
        method: the method of `keyclave.plugin` that the token unwraps.
        mechanism: what it unwraps with: CKM_RSA_AES_KEY_WRAP, or its AES-KWP for the second step.
    """

    private: Any
    lock: threading.Lock
    spki: bytes
    method: str
    mechanism: Mechanism

    @property
    def size(self) -> int:
        """How many bytes the first part of a blob has that is wrapped under it."""
        return _BITS // 8


def make_wrapping_key(
    session: RawSession, lock: threading.Lock, wanted: str | None, mechanisms: Iterable[Mechanism]
) -> WrappingKey:
    """Return a new key, and find out with it how the token unwraps, and which hash its OAEP has.

    Args:
        session: the session that the key lives with.
        lock: held here, and by everybody else who uses the session.
        wanted: the method, where there is no choice.
        mechanisms: what the token may unwrap with, the preferred first.

    Raises:
        CapabilityUnsupported: the token does not unwrap by the method, or by any.
        PKCS11Error: it does not make the key.
    """
    methods = METHODS if wanted is None else (wanted,)
    oaep_of(methods[0])
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
        for method, mechanism in product(methods, mechanisms):
            made = WrappingKey(private, lock, spki, method, mechanism)
            if _unwraps(made):
                return made
        private.destroy()
    raise CapabilityUnsupported(f"the token cannot unwrap keys by the method {methods[-1]!r}")


@contextmanager
def unwrapping(key: WrappingKey, blob: bytes) -> Iterator[partial[Any]]:
    """Yield ``unwrap_key`` of python-pkcs11, filled in so that it unwraps the key in a blob, as often as wanted.

    Raises:
        PKCS11Error: the first part of the blob is not such a key, or the token does not do this.
    """
    if key.mechanism is RSA_AES_KEY_WRAP:
        with rsa_aes_parameters(key.method) as parameters:
            yield partial(
                key.private.unwrap_key, key_data=blob, mechanism=RSA_AES_KEY_WRAP, mechanism_param=parameters
            )
        return
    with passing(_unwrap_kek(key.private, blob[: key.size], key.method)) as kek:
        yield partial(kek.unwrap_key, key_data=blob[key.size :], mechanism=key.mechanism)


def _unwrap_kek(private: Any, wrapped: bytes, method: str) -> Any:
    return private.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.AES,
        wrapped,
        mechanism=Mechanism.RSA_PKCS_OAEP,
        mechanism_param=oaep_parameters(method),
        capabilities=MechanismFlag.UNWRAP,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def _unwraps(key: WrappingKey) -> bool:
    blob = wrap_key(SecretBytes(secrets.token_bytes(_TRIAL_BYTES)), key.spki, key.method)
    try:
        with (
            unwrapping(key, blob) as unwrap,
            passing(
                unwrap(
                    ObjectClass.SECRET_KEY,
                    KeyType.AES,
                    capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                    template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
                )
            ),
        ):
            return True
    except PKCS11Error as error:
        if is_lost(error):
            raise
        return False
