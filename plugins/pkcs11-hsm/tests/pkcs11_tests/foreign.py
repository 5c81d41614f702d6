"""Keys that somebody else makes in a token, with labels and CKA_IDs of their own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keyclave.models import AlgorithmFamily, get_algorithm
from keyclave.plugin import AdoptKeyRequest, CreatedKey, ForeignKey, KeyLabel, KeyReference
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from keyclave_pkcs11_hsm.public_keys import EC_PARAMETERS, ED25519_PARAMETERS
from keyclave_pkcs11_hsm.templates import KEY_TYPES
from pkcs11 import Object, Session
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import Mechanism
from pkcs11_tests.backends import NewLabel

__all__ = ["IDENTIFIER", "Theirs", "adopt", "make_key", "named", "objects_named", "session_of"]

IDENTIFIER = b"\x01\xff"

_ROLES = {
    Attribute.SIGN_RECOVER: False,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}
_SECRET_ROLES = {Attribute.SIGN: False, Attribute.VERIFY: False, Attribute.WRAP: False, Attribute.UNWRAP: False}
_KEPT = {Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}


class Theirs:
    """The keys that a test makes as somebody else.

    Attributes:
        backend: what reaches the token.
        name: a label that no other test's keys have.
        new_label: makes labels of Keyclave.
    """

    def __init__(self, backend: Pkcs11Backend, new_label: NewLabel) -> None:
        self.backend = backend
        self.new_label = new_label
        self.name = f"their key; {secrets.token_hex(4)}/ü"

    def make(self, algorithm: str = "ECDSA_P256", name: str | None = None, **changed: bool) -> None:
        """Make one; see `make_key`."""
        with session_of(self.backend) as session:
            make_key(session, algorithm, name or self.name, IDENTIFIER, **changed)

    def listed(self, backend: Pkcs11Backend | None = None) -> list[ForeignKey]:
        """Return those that are listed."""
        return named(backend or self.backend, self.name)

    def adopted(self, backend: Pkcs11Backend | None = None) -> KeyReference:
        """Adopt the only one."""
        (key,) = self.listed(backend)
        return adopt(backend or self.backend, key, self.new_label()).reference

    def remove(self) -> None:
        """Remove them all."""
        with session_of(self.backend) as session:
            for each in objects_named(session, self.name):
                each.destroy()


def adopt(backend: Pkcs11Backend, key: ForeignKey, label: KeyLabel) -> CreatedKey:
    """Adopt a key that is listed."""
    return backend.adopt_key(request=AdoptKeyRequest(label=label, uri=key.uri, algorithm=key.algorithm))


@contextmanager
def session_of(backend: Pkcs11Backend) -> Iterator[Session]:
    """Lend a session of a backend that is logged in."""
    session = backend._pool.take()
    try:
        yield session.raw
    finally:
        backend._pool.give(session)


def make_key(session: Session, algorithm: str, name: str, identifier: bytes, **changed: bool) -> None:
    """Make a key as Keyclave wants one, but for some attributes."""
    details = get_algorithm(algorithm)
    kind = KEY_TYPES[details.family]
    named = {Attribute.LABEL: name, Attribute.ID: identifier}
    changes = {Attribute[attribute]: value for attribute, value in changed.items()}
    if not details.signs:
        template = {**named, **_KEPT, **_SECRET_ROLES, **changes}
        capabilities = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
        session.generate_key(kind, details.key_size, store=True, capabilities=capabilities, template=template)
        return
    mechanism: dict[AlgorithmFamily, Any] = {
        AlgorithmFamily.RSA: (Mechanism.RSA_PKCS_KEY_PAIR_GEN, {}),
        AlgorithmFamily.EC: (Mechanism.EC_KEY_PAIR_GEN, {Attribute.EC_PARAMS: EC_PARAMETERS.get(details.key_size)}),
        AlgorithmFamily.ED25519: (Mechanism.EC_EDWARDS_KEY_PAIR_GEN, {Attribute.EC_PARAMS: ED25519_PARAMETERS}),
    }
    how, parameters = mechanism[details.family]
    session.generate_keypair(
        kind,
        details.key_size if details.family is AlgorithmFamily.RSA else None,
        store=True,
        mechanism=how,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        public_template={**named, **parameters},
        private_template={**named, **_KEPT, **_ROLES, **changes},
    )


def objects_named(session: Session, name: str, kind: ObjectClass | None = None) -> list[Object]:
    """Return the objects in the token with a label, all or those of a class."""
    wanted: dict[Attribute, Any] = {Attribute.LABEL: name, Attribute.TOKEN: True}
    return list(session.get_objects(wanted if kind is None else {**wanted, Attribute.CLASS: kind}))


def named(backend: Pkcs11Backend, name: str) -> list[ForeignKey]:
    """Return what a backend lists with a label."""
    return [key for key in backend.list_foreign_keys(page=None).keys if f"{name!r}" in key.description]
