from __future__ import annotations

import hashlib

from keyclave.audit.chain import GENESIS, chain_hash


def test_the_hash_covers_the_prefix_the_previous_hash_and_the_record() -> None:
    first = chain_hash(GENESIS, b"one")
    assert first == hashlib.sha256(b"\x01" + bytes(32) + b"one").digest()
    assert chain_hash(first, b"two") == hashlib.sha256(b"\x01" + first + b"two").digest()
