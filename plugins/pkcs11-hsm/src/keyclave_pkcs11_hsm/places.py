"""By what the objects of a key are found in the token."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from keyclave.plugin import KeyLabel

__all__ = ["Place", "place_of"]

_ID_BYTES = 20


class Place(NamedTuple):
    """Where a key is.

    Attributes:
        identifier: the CKA_ID of its objects.
        name: their CKA_LABEL; that of the private one only, if it was adopted.
        adopted: whether somebody else made it, and so chose both.
        fingerprint: SHA-256 of its public key (DER SubjectPublicKeyInfo) in hexadecimal, which tells an adopted key
            pair from others; ``None`` for a secret key, and for what was not adopted.
    """

    identifier: bytes
    name: str
    adopted: bool = False
    fingerprint: str | None = None


def place_of(label: KeyLabel) -> Place:
    """Return where Keyclave makes a key: the CKA_ID is the first 20 bytes of the SHA-256 of its label."""
    return Place(hashlib.sha256(str(label).encode()).digest()[:_ID_BYTES], str(label))
