"""Ciphertexts of one keystream are told from others."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave_contract_tests.keystreams import share_a_keystream

PLAINTEXTS = [bytes([number]) * 32 for number in range(3)]
CIPHER = AESGCM(bytes(32))


def test_one_nonce_is_found_behind_headers_that_differ() -> None:
    pairs = [(text, os.urandom(12) + CIPHER.encrypt(bytes(12), text, None)) for text in PLAINTEXTS]
    assert share_a_keystream(pairs)


def test_one_pair_among_several_is_enough() -> None:
    nonces = [bytes(12), os.urandom(12), bytes(12)]
    pairs = [(text, CIPHER.encrypt(nonce, text, None)) for text, nonce in zip(PLAINTEXTS, nonces, strict=True)]
    assert share_a_keystream(pairs)


def test_fresh_nonces_are_not_suspected() -> None:
    nonces = [os.urandom(12) for _ in PLAINTEXTS]
    pairs = [
        (text, nonce + CIPHER.encrypt(nonce, text, None)) for text, nonce in zip(PLAINTEXTS, nonces, strict=True)
    ]
    assert not share_a_keystream(pairs)
