"""Whether an AES key in the token has 256 bits.

SoftHSM 2.6 says a length of 0 of each key that was unwrapped, and unwraps an "AES key" of any length. So what is
imported is measured on its way in: its wrapped form has 40 bytes for 25 to 32 of the key, of which AES has one, and
it must encrypt.
"""

from __future__ import annotations

from pkcs11 import Object
from pkcs11.constants import Attribute
from pkcs11.exceptions import PKCS11Error

from keyclave_pkcs11_hsm.errors import is_lost
from keyclave_pkcs11_hsm.gcm import works

__all__ = ["is_aes_256", "wrapped_is_aes_256"]

_BYTES = 32
_UNKNOWN = 0
_WRAPPED_BYTES = 40  # RFC 5649, section 4.1: eight bytes, and the key filled up to a multiple of eight


def is_aes_256(key: Object) -> bool:
    """Return whether a key has 256 bits, or was imported, and so measured, where the token does not know."""
    length = key[Attribute.VALUE_LEN]
    return length == _BYTES or (length == _UNKNOWN and not key[Attribute.LOCAL])


def wrapped_is_aes_256(wrapped: bytes, key: Object) -> bool:
    """Return whether a key that was just unwrapped has 256 bits.

    Args:
        wrapped: the AES-KWP form that it was unwrapped from.
        key: an object of the session that may encrypt and decrypt.
    """
    try:
        return len(wrapped) == _WRAPPED_BYTES and is_aes_256(key) and works(key)
    except PKCS11Error as error:
        if is_lost(error):
            raise
        return False
