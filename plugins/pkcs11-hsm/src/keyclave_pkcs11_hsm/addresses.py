"""The URI of a key in the token (RFC 7512)."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from keyclave.errors import InvalidArgument, KeyNotFound
from keyclave.plugin import KeyLabel, KeyReference

from keyclave_pkcs11_hsm.places import Place

__all__ = ["Address", "address_in", "fingerprint_of", "require_address", "token_uri", "uri_of"]

# What RFC 7512, section 2.3, lets stand for itself in a path, beyond what `quote` does.
_SAFE = ":[]@!$'()*+,="
_URI = re.compile(
    r"pkcs11:token=[^;?]+;serial=(?P<serial>[^;?]*);object=(?P<name>[^;?]*);id=(?P<id>[^;?]*);type=(private|secret-key)"
    r"(\?keyclave-spki-sha256=(?P<spki>[0-9a-f]{64}))?"
)


class Address(NamedTuple):
    """What an address says.

    Attributes:
        serial: of the token that the key was in; empty where that has none.
        identifier: the CKA_ID.
        name: the CKA_LABEL.
        fingerprint: SHA-256 of the public key, in hexadecimal; ``None`` for a secret key.
    """

    serial: str
    identifier: bytes
    name: str
    fingerprint: str | None

    @property
    def is_ours(self) -> bool:
        """Whether the CKA_LABEL is one that Keyclave gives."""
        try:
            KeyLabel.parse(self.name)
        except InvalidArgument:
            return False
        return True

    def adopted_place(self) -> Place:
        """Return where the key is, if it was made elsewhere."""
        return Place(self.identifier, self.name, adopted=True, fingerprint=self.fingerprint)

    def is_of(self, place: Place) -> bool:
        """Return whether this is the address of a key in that place, as far as the place says which key it is."""
        same_key = not place.adopted or place.fingerprint == self.fingerprint
        return (self.identifier, self.name) == (place.identifier, place.name) and same_key


def uri_of(token: str, serial: str, place: Place, *, fingerprint: str | None, secret: bool) -> str:
    """Return the address of a key.

    Its vendor attribute is the SHA-256 of the public key: whoever has the address can tell the key from another one
    that took its place in the token.

    Args:
        token: the label of the token.
        serial: its serial number.
        place: where the key is in it.
        fingerprint: SHA-256 of its public key, in hexadecimal; ``None`` where there is none, or it is not known.
        secret: whether it is a secret key.
    """
    identifier = "".join(f"%{byte:02X}" for byte in place.identifier)
    kind = "secret-key" if secret else "private"
    path = f"{token_uri(token, serial)};object={_quoted(place.name)};id={identifier};type={kind}"
    return path if fingerprint is None else f"{path}?keyclave-spki-sha256={fingerprint}"


def token_uri(token: str, serial: str) -> str:
    """Return the address of a token."""
    return f"pkcs11:token={_quoted(token)};serial={_quoted(serial)}"


def fingerprint_of(spki: bytes | None) -> str | None:
    """Return the SHA-256 of a public key in hexadecimal, and ``None`` for none."""
    return None if spki is None else hashlib.sha256(spki).hexdigest()


def address_in(reference: KeyReference) -> Address:
    """Return what the address of a key says; raise ``InvalidArgument`` if it is not one that `uri_of` makes."""
    found = _URI.fullmatch(reference.uri)
    if found is None:
        raise _foreign_address()
    return Address(unquote(found["serial"]), unquote_to_bytes(found["id"]), unquote(found["name"]), found["spki"])


def require_address(reference: KeyReference, place: Place) -> Address:
    """Return what the address of a key says, if it fits the place where the key of its label is.

    Raises:
        KeyNotFound: it is the address of a key that is not adopted under this label, or not any more.
        InvalidArgument: it does not belong to the label of the key.
    """
    address = address_in(reference)
    if address.is_of(place):
        return address
    if address.is_ours or place.adopted:
        raise _foreign_address()
    raise KeyNotFound(
        "the key was made elsewhere, and is not adopted under this label, or not any more",
        next_step="If it should be, restore the data directory of the backend, which has the record of it.",
    )


def _foreign_address() -> InvalidArgument:
    return InvalidArgument("the uri of the key does not belong to its label")


def _quoted(text: str) -> str:
    return quote(text, safe=_SAFE)
