"""Ciphertexts that were made with one keystream: the exclusive or of the two is that of the plaintexts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

__all__ = ["share_a_keystream"]


def share_a_keystream(pairs: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether any two of several pairs of plaintext and ciphertext show the same keystream.

    The format of a ciphertext is the backend's own, so the plaintext may stand anywhere in it, and is looked for in
    every place. All plaintexts have one length, of 16 bytes or more, and differ from each other.
    """
    return any(_repeats(*first, *second) for first, second in combinations(pairs, 2))


def _repeats(plaintext: bytes, ciphertext: bytes, other_plaintext: bytes, other_ciphertext: bytes) -> bool:
    wanted, found = _xor(plaintext, other_plaintext), _xor(ciphertext, other_ciphertext)
    return wanted in found


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))
