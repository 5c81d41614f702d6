"""The format of envelopes stays what it is: a second implementation, and vectors written down once."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.crypto.envelope import decrypt_bytes, decrypt_stream, encrypt_bytes, parse_header, read_header
from pydantic import SecretBytes

MIB = 1 << 20
KEY_ID = UUID("0190d7a4-5f1e-7c3b-9a2d-1f2e3d4c5b6a")
VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("test_envelope_vectors.json").read_text())


def hkdf(key: bytes, salt: bytes, info: bytes) -> tuple[bytes, bytes]:
    pseudorandom = hmac.digest(salt, key, "sha256")
    first = hmac.digest(pseudorandom, info + b"\x01", "sha256")
    return first, hmac.digest(pseudorandom, first + info + b"\x02", "sha256")


def reference_encrypt(
    plaintext: bytes, data_key: bytes, aad: bytes, *, version: int, wrapped: bytes, salt: bytes, prefix: bytes
) -> bytes:
    """The format as its docstrings tell it, with none of its code."""
    header = b"KCE1" + b"\x01" + KEY_ID.bytes + version.to_bytes(4, "big")
    header += len(wrapped).to_bytes(2, "big") + wrapped + salt + prefix
    segment_key, commitment = hkdf(data_key, salt, header + aad)
    pieces = [plaintext[at : at + MIB] for at in range(0, len(plaintext), MIB)] or [b""]
    body = b""
    for counter, piece in enumerate(pieces):
        last = b"\x01" if counter == len(pieces) - 1 else b"\x00"
        body += AESGCM(segment_key).encrypt(prefix + counter.to_bytes(4, "big") + last, piece, None)
    return header + commitment + body


def reference_decrypt(envelope: bytes, data_key: bytes, aad: bytes) -> bytes:
    wrapped_size = int.from_bytes(envelope[25:27], "big")
    bound, rest = envelope[: 66 + wrapped_size], envelope[66 + wrapped_size :]
    salt, prefix = bound[-39:-7], bound[-7:]
    segment_key, commitment = hkdf(data_key, salt, bound + aad)
    assert rest[:32] == commitment
    body, plaintext, counter = rest[32:], b"", 0
    while body:
        piece, body = body[: MIB + 16], body[MIB + 16 :]
        nonce = prefix + counter.to_bytes(4, "big") + (b"\x00" if body else b"\x01")
        plaintext += AESGCM(segment_key).decrypt(nonce, piece, None)
        counter += 1
    return plaintext


def pattern(size: int) -> bytes:
    return bytes(index * 7 % 251 for index in range(251)) * (size // 251 + 1)


def of_vector(vector: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """The envelope, the data key and the associated data of a vector."""
    data_key, aad = bytes.fromhex(vector["data_key"]), bytes.fromhex(vector["aad"])
    if "envelope" in vector:
        return bytes.fromhex(vector["envelope"]), data_key, aad
    envelope = reference_encrypt(
        pattern(vector["size"])[: vector["size"]],
        data_key,
        aad,
        version=vector["version"],
        wrapped=bytes.fromhex(vector["wrapped"]),
        salt=bytes.fromhex(vector["salt"]),
        prefix=bytes.fromhex(vector["prefix"]),
    )
    return envelope, data_key, aad


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_opens(vector: dict[str, Any]) -> None:
    envelope, data_key, aad = of_vector(vector)
    assert hashlib.sha256(envelope).hexdigest() == vector["sha256"]
    asked = []

    def unwrap(wrapped: bytes, context: bytes) -> SecretBytes:
        asked.append((wrapped, context))
        return SecretBytes(data_key)

    header = parse_header(envelope)
    plaintext = decrypt_bytes(envelope, header, unwrap_data_key=unwrap, aad=aad)
    assert plaintext == pattern(vector["size"])[: vector["size"]]
    source, target = io.BytesIO(envelope), io.BytesIO()
    decrypt_stream(source, target, read_header(source), unwrap_data_key=unwrap, aad=aad)
    assert target.getvalue() == plaintext
    assert asked == [(bytes.fromhex(vector["wrapped"]), envelope[:25])] * 2
    assert (header.key_id, header.version, header.suite) == (
        KEY_ID,
        vector["version"],
        "AES_256_GCM_HKDF_SHA256_1MIB",
    )


@pytest.mark.parametrize("size", [0, 1, 1024, MIB - 1, MIB, MIB + 1, 2 * MIB])
def test_a_second_implementation_opens_what_is_encrypted(size: int) -> None:
    plaintext, keys = pattern(size)[:size], []

    def wrap(data_key: SecretBytes, _context: bytes) -> bytes:
        keys.append(data_key.get_secret_value())
        return b"wrapped"

    envelope = encrypt_bytes(plaintext, key_id=KEY_ID, version=3, wrap_data_key=wrap, aad=b"associated")
    assert reference_decrypt(envelope, keys[0], b"associated") == plaintext
