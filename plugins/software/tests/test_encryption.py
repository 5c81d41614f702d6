"""AES-256-GCM: what goes in comes out, and nothing else does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyclave.errors import CapabilityUnsupported, DecryptionFailed, InvalidArgument
from keyclave_software.backend import SoftwareBackend
from keyclave_software.encryption import decrypt, encrypt

from plugins.software.tests.conftest import NewKey

LIMIT = 64 * 1024


@given(plaintext=st.binary(max_size=300), aad=st.binary(max_size=50))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_encrypted_is_decrypted(
    backend: SoftwareBackend, new_key: NewKey, plaintext: bytes, aad: bytes
) -> None:
    key = new_key("AES_256").reference
    ciphertext = backend.encrypt(key=key, plaintext=plaintext, aad=aad).ciphertext
    assert backend.decrypt(key=key, ciphertext=ciphertext, aad=aad).plaintext == plaintext
    with pytest.raises(DecryptionFailed):
        backend.decrypt(key=key, ciphertext=ciphertext, aad=aad + b"!")


def test_the_format_is_the_documented_one() -> None:
    cipher = AESGCM(bytes(range(32)))
    ciphertext = encrypt(cipher, b"data key", b"context")
    assert ciphertext[:1] == b"\x01"
    assert AESGCM(bytes(range(32))).decrypt(ciphertext[1:13], ciphertext[13:], b"context") == b"data key"


def test_no_two_ciphertexts_share_a_nonce() -> None:
    cipher = AESGCM(bytes(32))
    assert len({encrypt(cipher, b"", b"")[1:13] for _ in range(1000)}) == 1000


def test_every_changed_byte_and_every_length_is_refused_alike() -> None:
    cipher = AESGCM(bytes(32))
    good = encrypt(cipher, b"data key", b"")
    changed = [good[:n] + bytes([good[n] ^ 1]) + good[n + 1 :] for n in range(len(good))]
    for bad in [*changed, *(good[:n] for n in range(len(good))), good + b"\0", bytes(LIMIT + 30)]:
        with pytest.raises(DecryptionFailed) as caught:
            decrypt(cipher, bad, b"")
        assert str(caught.value) == "ciphertext, key and associated data do not belong together"
        assert caught.value.__context__ is None


def test_another_key_does_not_decrypt(backend: SoftwareBackend, new_key: NewKey) -> None:
    one, other = new_key("AES_256").reference, new_key("AES_256").reference
    ciphertext = backend.encrypt(key=one, plaintext=b"data key", aad=b"").ciphertext
    with pytest.raises(DecryptionFailed):
        backend.decrypt(key=other, ciphertext=ciphertext, aad=b"")


def test_the_longest_plaintext_is_the_described_one(backend: SoftwareBackend, new_key: NewKey) -> None:
    key = new_key("AES_256").reference
    (described,) = (each for each in backend.describe().algorithms if each.algorithm == "AES_256")
    assert described.max_plaintext == LIMIT
    ciphertext = backend.encrypt(key=key, plaintext=bytes(LIMIT), aad=b"").ciphertext
    assert backend.decrypt(key=key, ciphertext=ciphertext, aad=b"").plaintext == bytes(LIMIT)
    with pytest.raises(InvalidArgument, match="65536 bytes"):
        backend.encrypt(key=key, plaintext=bytes(LIMIT + 1), aad=b"")


def test_a_signing_key_does_not_encrypt(backend: SoftwareBackend, new_key: NewKey) -> None:
    key = new_key("ED25519").reference
    with pytest.raises(CapabilityUnsupported, match="ED25519 cannot encrypt"):
        backend.encrypt(key=key, plaintext=b"", aad=b"")
    with pytest.raises(CapabilityUnsupported, match="ED25519 cannot decrypt"):
        backend.decrypt(key=key, ciphertext=bytes(50), aad=b"")
