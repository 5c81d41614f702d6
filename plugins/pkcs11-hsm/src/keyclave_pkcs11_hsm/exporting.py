"""Release an exportable key, wrapped under the RSA key of its next home. It never leaves the token in clear."""

from __future__ import annotations

from typing import Any

from keyclave.crypto.wrapping import load_wrapping_key
from keyclave.errors import CapabilityUnsupported
from keyclave.plugin import KeyReference
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType, Mechanism

from keyclave_pkcs11_hsm.adoptions import Adoptions
from keyclave_pkcs11_hsm.key_wrapping import KeyWrapping, oaep_parameters, passing
from keyclave_pkcs11_hsm.objects import find_referenced
from keyclave_pkcs11_hsm.public_keys import public_attributes
from keyclave_pkcs11_hsm.sessions import Session, SessionPool

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
        parameters = oaep_parameters(method)
        load_wrapping_key(wrapping_spki)

        def work(session: Session) -> bytes:
            found = find_referenced(session.raw, key, self._adoptions.place(key.label))
            if not found.exportable:
                raise CapabilityUnsupported("the key is not exportable")
            mechanism = self._wrapping.mechanism()
            kek: Any = session.raw.generate_key(
                KeyType.AES,
                256,
                capabilities=MechanismFlag.WRAP,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True},
            )
            with passing(kek), passing(session.raw.create_object(_wrapping_template(wrapping_spki))) as wrapping_key:
                first: bytes = wrapping_key.wrap_key(
                    kek, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters
                )
                second: bytes = kek.wrap_key(found.usable, mechanism=mechanism)
                return first + second

        return self._pool.run(work)


def _wrapping_template(spki: bytes) -> dict[Attribute, Any]:
    return {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: False,
        Attribute.WRAP: True,
        Attribute.ENCRYPT: False,
        Attribute.VERIFY: False,
        **public_attributes(spki),
    }
