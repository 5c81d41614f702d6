"""Ed25519 keys come into the token by value, through the memory of this process.

SoftHSM 2.6 neither wraps nor unwraps them, and a token that unwraps one has no call that says its public half. So the
wrapping key is one of this process, and the seed goes in by C_CreateObject.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from keyclave.crypto.key_checks import check_private_key
from keyclave.crypto.padded_keys import without_padding
from keyclave.crypto.wrapping import unwrap_key
from keyclave.errors import InvalidArgument
from keyclave.plugin import ImportKeyRequest
from pkcs11 import Session as RawSession
from pkcs11.constants import Attribute
from pkcs11.mechanisms import KeyType
from pydantic import SecretBytes

from keyclave_pkcs11_hsm.places import place_of
from keyclave_pkcs11_hsm.public_keys import ED25519_PARAMETERS, public_attributes, to_spki
from keyclave_pkcs11_hsm.templates import private_template, public_template

__all__ = ["keep_ed25519_key", "unwrap_ed25519_key"]


def unwrap_ed25519_key(wrapping_key: rsa.RSAPrivateKey, blob: bytes, method: str) -> ed25519.Ed25519PrivateKey:
    """Return the key in a blob, checked.

    Raises:
        InvalidArgument: it does not hold a good Ed25519 key.
    """
    private_key = _load(without_padding(unwrap_key(blob, wrapping_key, method)))
    if private_key is None:
        raise InvalidArgument("the wrapped key is not a key of algorithm ED25519")
    check_private_key(private_key, "ED25519")
    return private_key


def keep_ed25519_key(session: RawSession, private_key: ed25519.Ed25519PrivateKey, request: ImportKeyRequest) -> None:
    """Keep a key under the label of the request; the private half last, since nobody finds the key before."""
    spki, place = to_spki(private_key.public_key()), place_of(request.label)
    session.create_object(public_template(place) | public_attributes(spki))
    session.create_object(
        {
            **private_template(place, exportable=request.exportable),
            Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
            Attribute.EC_PARAMS: ED25519_PARAMETERS,
            Attribute.VALUE: private_key.private_bytes_raw(),
        }
    )


def _load(pkcs8: SecretBytes) -> ed25519.Ed25519PrivateKey | None:
    try:
        private_key = load_der_private_key(pkcs8.get_secret_value(), None)
    except Exception:
        return None
    return private_key if isinstance(private_key, ed25519.Ed25519PrivateKey) else None
