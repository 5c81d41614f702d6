"""Release an exportable key, wrapped under the RSA key of its next home. It never leaves the token in clear."""

from __future__ import annotations

from typing import Any

from keyclave.crypto.wrapping import load_wrapping_key
from keyclave.errors import CapabilityUnsupported
from keyclave.plugin import KeyReference
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.mechanisms import KeyType, Mechanism

from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.key_wrapping import KeyWrapping, passing, wrap_at_once, wrapping_template
from keyclave_pkcs11_hsm.objects import FoundKey, find_referenced
from keyclave_pkcs11_hsm.sessions import Session, SessionPool
from keyclave_pkcs11_hsm.wrapping_parameters import RSA_AES_KEY_WRAP, oaep_parameters

__all__ = ["Exporting"]


class Exporting:
    """Wraps keys."""

    def __init__(self, pool: SessionPool, wrapping: KeyWrapping, adoptions: Adoptions) -> None:
        self._pool = pool
        self._adoptions = adoptions
        self._wrapping = wrapping

    def wrap(self, key: KeyReference, wrapping_spki: bytes, method: str) -> bytes:
        """Return RSA-OAEP of a fresh AES key, followed by AES-KWP of the key under it.

        Args:
            key: the key.
            wrapping_spki: DER SubjectPublicKeyInfo of an RSA key of 3072 or 4096 bits.
            method: a method of `keyclave.plugin`.

        Raises:
            CapabilityUnsupported: the key is not exportable, or the token does not wrap it so.
            InvalidArgument: the wrapping key is no good.
        """
        oaep_parameters(method)
        load_wrapping_key(wrapping_spki)

        # First, since what is wrong with the key matters more than what the token can do.
        self._pool.run(lambda session: self._find(session, key))
        mechanism = self._wrapping.wrapping(method)

        def work(session: Session) -> bytes:
            found = self._find(session, key)
            with passing(session.raw.create_object(wrapping_template(wrapping_spki))) as wrapping_key:
                if mechanism is RSA_AES_KEY_WRAP:
                    return wrap_at_once(wrapping_key, found.usable, method)
                return _wrap_in_two_steps(wrapping_key, found.usable, method, mechanism)

        return self._pool.run(work)

    def _find(self, session: Session, key: KeyReference) -> FoundKey:
        found = find_referenced(session.raw, key, self._adoptions.place(key.label))
        if not found.exportable:
            raise CapabilityUnsupported("the key is not exportable")
        return found


def _wrap_in_two_steps(wrapping_key: Any, key: Any, method: str, aes_kwp: Mechanism) -> bytes:
    kek: Any = key.session.generate_key(
        KeyType.AES,
        256,
        capabilities=MechanismFlag.WRAP,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True},
    )
    with passing(kek):
        first: bytes = wrapping_key.wrap_key(
            kek, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=oaep_parameters(method)
        )
        second: bytes = kek.wrap_key(key, mechanism=aes_kwp)
        return first + second
