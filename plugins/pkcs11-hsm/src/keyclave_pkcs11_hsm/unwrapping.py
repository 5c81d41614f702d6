"""Take a wrapped key into the token, so that it is in clear nowhere else: look at it in passing, then keep it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from keyclave.crypto.algorithms import load_public_key
from keyclave.crypto.key_checks import check_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.errors import InvalidArgument
from keyclave.models import AlgorithmFamily, KeyAlgorithm, get_algorithm
from keyclave.plugin import ImportKeyRequest
from pkcs11 import Session as RawSession
from pkcs11.constants import DEFAULT, Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import Mechanism

from keyclave_pkcs11_hsm.aes_lengths import wrapped_is_aes_256
from keyclave_pkcs11_hsm.ec_points import public_half
from keyclave_pkcs11_hsm.errors import is_lost
from keyclave_pkcs11_hsm.key_wrapping import passing
from keyclave_pkcs11_hsm.places import place_of
from keyclave_pkcs11_hsm.public_keys import public_attributes, rsa_spki, to_spki
from keyclave_pkcs11_hsm.softhsm_objects import undisturbed
from keyclave_pkcs11_hsm.templates import KEY_TYPES, Template, private_template, public_template, secret_template
from keyclave_pkcs11_hsm.wrapping_keys import WrappingKey, unwrapping

__all__ = ["import_wrapped"]

_CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1()}
# What python-pkcs11 sends for every kind of key, and a private key does not have: SoftHSM and NSS refuse it there.
_NOT_OF_PRIVATE_KEYS: Template = dict.fromkeys((Attribute.ENCRYPT, Attribute.WRAP, Attribute.VERIFY), DEFAULT)


def import_wrapped(wrapping_key: WrappingKey, blob: bytes, request: ImportKeyRequest) -> None:
    """Keep the key in a blob under the label of the request.

    Args:
        wrapping_key: what the blob is wrapped under.
        blob: RSA-OAEP of an AES key, and AES-KWP of the key under it.
        request: what the key must be.

    Raises:
        InvalidArgument: the blob does not hold a good key of the algorithm. Nothing was kept.
        PKCS11Error: the token is lost.
    """
    session = wrapping_key.private.session
    with wrapping_key.lock:
        try:
            with unwrapping(wrapping_key, blob) as unwrap, undisturbed(session):
                _import(_Unwrapper(session, unwrap, blob[wrapping_key.size :], request))
        except PKCS11Error as error:
            if is_lost(error):
                raise
        else:
            return
    raise InvalidArgument("the wrapped key cannot be unwrapped")


class _Unwrapper:
    """Unwraps the key in a blob, as often as wanted."""

    def __init__(
        self, session: RawSession, unwrap: Callable[..., Any], wrapped: bytes, request: ImportKeyRequest
    ) -> None:
        self.request = request
        self.algorithm: KeyAlgorithm = get_algorithm(request.algorithm)
        self.session = session
        self._unwrap = unwrap
        self.wrapped = wrapped  # its AES-KWP form

    def unwrap(self, capabilities: MechanismFlag, template: Template) -> Any:
        kind = ObjectClass.PRIVATE_KEY if self.algorithm.signs else ObjectClass.SECRET_KEY
        return self._unwrap(
            kind,
            KEY_TYPES[self.algorithm.family],
            capabilities=capabilities,
            template=(_NOT_OF_PRIVATE_KEYS if self.algorithm.signs else {}) | template,
        )

    def keep(self, capabilities: MechanismFlag, template: Template) -> None:
        """Keep the key in the token.

        Opencryptoki makes every key that it unwraps readable, whatever the template says. These two attributes may be
        changed, in this direction alone.
        """
        key = self.unwrap(capabilities, template)
        for attribute in (Attribute.SENSITIVE, Attribute.EXTRACTABLE):
            if key[attribute] is not template[attribute]:
                key[attribute] = template[attribute]

    def passing(self, capabilities: MechanismFlag) -> Any:
        return self.unwrap(capabilities, {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False})


def _import(unwrapper: _Unwrapper) -> None:
    place, exportable = place_of(unwrapper.request.label), unwrapper.request.exportable
    if not unwrapper.algorithm.signs:
        with passing(unwrapper.passing(MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT)) as key:
            if not wrapped_is_aes_256(unwrapper.wrapped, key):
                raise _wrong(unwrapper.request)
        unwrapper.keep(MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT, secret_template(place, exportable=exportable))
        return
    spki = _public_key(unwrapper)
    # The private half last: until it is there, nobody finds the key.
    unwrapper.session.create_object(public_template(place) | public_attributes(spki))
    unwrapper.keep(MechanismFlag.SIGN, private_template(place, exportable=exportable))


def _public_key(unwrapper: _Unwrapper) -> bytes:
    """Return the public key that belongs to the private key, checked, and proved by a signature."""
    algorithm = unwrapper.algorithm
    is_ec = algorithm.family is AlgorithmFamily.EC
    capabilities = MechanismFlag.SIGN | MechanismFlag.DERIVE if is_ec else MechanismFlag.SIGN
    with passing(unwrapper.passing(capabilities)) as private_key:
        if not is_ec:
            spki = rsa_spki(private_key)
            check_public_key(spki, algorithm.name)
            _require_proof(private_key, spki)
            return spki
        try:
            found = public_half(private_key, _CURVES[algorithm.key_size])
        except ValueError:
            found = None  # a coordinate that no point has: the key is on another curve
    if found is None:
        raise _wrong(unwrapper.request)
    spki = to_spki(found)
    check_public_key(spki, algorithm.name)
    return spki


def _require_proof(private_key: Any, spki: bytes) -> None:
    challenge = secrets.token_bytes(32)
    signature = private_key.sign(challenge, mechanism=Mechanism.SHA256_RSA_PKCS)
    bind_verifier(load_public_key(spki), "RSA_PKCS1_SHA256")(challenge, signature)


def _wrong(request: ImportKeyRequest) -> InvalidArgument:
    return InvalidArgument(f"the wrapped key is not a key of algorithm {request.algorithm}")
