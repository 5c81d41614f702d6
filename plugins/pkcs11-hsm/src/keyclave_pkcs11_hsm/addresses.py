"""Where a key is in the token: its CKA_ID, made from its label, and its URI (RFC 7512)."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, unquote_to_bytes

from keyclave.errors import InvalidArgument
from keyclave.plugin import KeyLabel, KeyReference

__all__ = ["fingerprint_in", "id_of", "token_uri", "uri_of"]

_ID_BYTES = 20
# What RFC 7512, section 2.3, lets stand for itself in a path, beyond what `quote` does.
_SAFE = ":[]@!$'()*+,="
_URI = re.compile(
    r"pkcs11:token=[^;?]+;serial=[^;?]*;object=[^;?]+;id=(?P<id>[^;?]+);type=(private|secret-key)"
    r"(\?keyclave-spki-sha256=(?P<spki>[0-9a-f]{64}))?"
)


def id_of(label: KeyLabel) -> bytes:
    """Return the CKA_ID of the objects of a key: the first 20 bytes of the SHA-256 of its label."""
    return hashlib.sha256(str(label).encode()).digest()[:_ID_BYTES]


def uri_of(token: str, serial: str, label: KeyLabel, spki: bytes | None) -> str:
    """Return the address of a key.

    Its vendor attribute is the SHA-256 of the public key: whoever has the address can tell the key from another one
    that took its place in the token.

    Args:
        token: the label of the token.
        serial: its serial number.
        label: the key's label.
        spki: its public key, DER SubjectPublicKeyInfo; ``None`` for a secret key.
    """
    kind = "secret-key" if spki is None else "private"
    identifier = "".join(f"%{byte:02X}" for byte in id_of(label))
    path = f"{token_uri(token, serial)};object={_quoted(str(label))};id={identifier};type={kind}"
    query = "" if spki is None else f"?keyclave-spki-sha256={hashlib.sha256(spki).hexdigest()}"
    return path + query


def token_uri(token: str, serial: str) -> str:
    """Return the address of a token."""
    return f"pkcs11:token={_quoted(token)};serial={_quoted(serial)}"


def fingerprint_in(reference: KeyReference) -> str | None:
    """Return the SHA-256 of the public key in the address of a key, in hexadecimal; ``None`` for a secret key.

    Raises:
        InvalidArgument: the address does not belong to the label of the key.
    """
    found = _URI.fullmatch(reference.uri)
    if found is None or unquote_to_bytes(found["id"]) != id_of(reference.label):
        raise InvalidArgument("the uri of the key does not belong to its label")
    return found["spki"]


def _quoted(text: str) -> str:
    return quote(text, safe=_SAFE)
