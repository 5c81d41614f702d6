"""The hash chain: each record's hash covers the record and, through the hash before it, all earlier ones."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["GENESIS", "HASH_SIZE", "chain_hash"]

HASH_SIZE = 32
GENESIS = bytes(HASH_SIZE)
"""The hash before the first record."""

_DOMAIN = b"\x01"


def chain_hash(previous: bytes, record: bytes) -> bytes:
    """Return SHA-256(0x01 || previous || record), 32 bytes.

    Args:
        previous: the hash of the record before, 32 bytes; `GENESIS` for the first.
        record: the record's bytes, exactly as stored.

    >>> chain_hash(GENESIS, b"{}").hex()[:16]
    '57a65f4aed301900'
    """
    return sha256(_DOMAIN + previous + record).digest()
