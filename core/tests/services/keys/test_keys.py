"""The main job through the public API. Every signature is checked by ``cryptography`` on its own."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import cast

import keyclave
import pytest
from cryptography.exceptions import InvalidSignature as PycaInvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from keyclave import Keyclave
from keyclave.errors import (
    CapabilityUnsupported,
    ConfigurationError,
    Conflict,
    DecryptionFailed,
    InvalidArgument,
    InvalidSignature,
    KeyAlreadyExists,
    KeyDisabled,
    KeyNotFound,
    PolicyViolation,
)
from keyclave.models import ALGORITHMS, KeyStatus

MESSAGE = b"The message that every key signs."
SIGNING = [name for name, algorithm in ALGORITHMS.items() if algorithm.signs and name not in ("RSA_3072", "RSA_4096")]


def verify_alone(public_key: object, signature: bytes, data: bytes, scheme: str) -> None:
    """Verify without any of Keyclave's code."""
    digest = {"384": hashes.SHA384(), "512": hashes.SHA512()}.get(scheme[-3:], hashes.SHA256())
    match public_key:
        case rsa.RSAPublicKey() if "PSS" in scheme:
            public_key.verify(signature, data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        case rsa.RSAPublicKey():
            public_key.verify(signature, data, padding.PKCS1v15(), digest)
        case ec.EllipticCurvePublicKey():
            public_key.verify(signature, data, ec.ECDSA(digest))
        case ed25519.Ed25519PublicKey() | mldsa.MLDSA65PublicKey():
            public_key.verify(signature, data)
        case _:
            raise AssertionError(type(public_key))


@pytest.mark.parametrize("algorithm", SIGNING)
def test_every_scheme_of_an_algorithm_signs_and_verifies(clave: Keyclave, algorithm: str) -> None:
    clave.keys.create("k", algorithm)
    for scheme in ALGORITHMS[algorithm].schemes:
        result = clave.keys.sign("k", MESSAGE, scheme=scheme)
        assert (result.scheme, result.version, result.backend_id) == (scheme, 1, "software")
        verify_alone(clave.keys.public_key("k"), result.signature, MESSAGE, scheme)
        with pytest.raises(PycaInvalidSignature):
            verify_alone(clave.keys.public_key("k"), result.signature, MESSAGE + b".", scheme)
        assert clave.keys.verify("k", MESSAGE, result.signature, scheme=scheme) == 1
        with pytest.raises(InvalidSignature):
            clave.keys.verify("k", MESSAGE + b".", result.signature, scheme=scheme)


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "ECDSA_P384"])
def test_a_digest_signs_like_its_message(clave: Keyclave, algorithm: str) -> None:
    clave.keys.create("k", algorithm)
    for scheme in ALGORITHMS[algorithm].schemes:
        digest = hashlib.new(f"sha{scheme[-3:]}", MESSAGE).digest()
        signature = clave.keys.sign("k", digest, scheme=scheme, prehashed=True).signature
        verify_alone(clave.keys.public_key("k"), signature, MESSAGE, scheme)
        assert clave.keys.verify("k", digest, signature, scheme=scheme, prehashed=True) == 1
        with pytest.raises(InvalidArgument):
            clave.keys.sign("k", digest[:-1], scheme=scheme, prehashed=True)


@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "ED25519"])
def test_streams_sign_like_their_content(clave: Keyclave, algorithm: str) -> None:
    clave.keys.create("k", algorithm)
    content = bytes(range(256)) * 10_000
    signature = clave.keys.sign_stream("k", io.BytesIO(content)).signature
    assert clave.keys.verify("k", content, signature) == 1
    assert clave.keys.verify_stream("k", io.BytesIO(content), signature) == 1
    with pytest.raises(InvalidSignature):
        clave.keys.verify_stream("k", io.BytesIO(content[:-1]), signature)


@pytest.mark.parametrize("algorithm", ["ED25519", "ML_DSA_65"])
def test_message_schemes_refuse_digests(clave: Keyclave, algorithm: str) -> None:
    clave.keys.create("k", algorithm)
    with pytest.raises((InvalidArgument, CapabilityUnsupported)):
        clave.keys.sign("k", bytes(32), prehashed=True)


def test_a_handle_says_what_was_made(clave: Keyclave) -> None:
    handle = clave.keys.create("release", "ECDSA_P256")
    assert (handle.name, handle.version, handle.status) == ("release", 1, KeyStatus.ACTIVE)
    assert (handle.owner_principal, handle.backend_id, handle.backend_type) == ("tester", "software", "software")
    assert not handle.security_properties.exportable
    assert not handle.security_properties.hsm_backed
    assert handle.next_rotation_at is not None
    assert (handle.next_rotation_at - handle.created_at).days == 90
    assert clave.keys.get("release") == handle
    assert clave.keys.list() == (handle,)


def test_names_are_unique_and_the_first_key_is_untouched(clave: Keyclave) -> None:
    handle = clave.keys.create("k", "ED25519")
    with pytest.raises(KeyAlreadyExists):
        clave.keys.create("k", "ED25519")
    assert clave.keys.list() == (handle,)
    assert clave.recovery.open_intents() == ()


@pytest.mark.parametrize("name", ["", "A", "a/b", "../x", "a b", "é", "a\n", "a" * 129, ".a", None, 7, b"a"])
def test_bad_names_are_refused(clave: Keyclave, name: str) -> None:
    for call in (
        lambda: clave.keys.create(name, "ED25519"),
        lambda: clave.keys.get(name),
        lambda: clave.keys.sign(name, b""),
        lambda: clave.keys.verify(name, b"", b""),
        lambda: clave.keys.public_key(name),
        lambda: clave.keys.revoke(name, "reason"),
        lambda: clave.keys.destroy(name, 1),
        lambda: clave.rotation.rotate(name),
    ):
        with pytest.raises(InvalidArgument):
            call()
    assert clave.keys.list() == ()


def test_missing_keys_and_versions(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    for call in (
        lambda: clave.keys.get("missing"),
        lambda: clave.keys.sign("missing", b""),
        lambda: clave.keys.verify("missing", b"", b""),
        lambda: clave.keys.verify("k", b"", b"", version=2),
        lambda: clave.keys.public_key("k", 2),
        lambda: clave.keys.destroy("k", 2),
    ):
        with pytest.raises(KeyNotFound):
            call()


@pytest.mark.parametrize("data", ["text", None, 7, [1]])
def test_only_bytes_are_signed_and_encrypted(clave: Keyclave, data: bytes) -> None:
    clave.keys.create("s", "ECDSA_P256")
    clave.keys.create("e", "AES_256")
    for call in (
        lambda: clave.keys.sign("s", data),
        lambda: clave.keys.verify("s", data, b"signature"),
        lambda: clave.keys.verify("s", b"data", data),
        lambda: clave.keys.encrypt("e", data),
        lambda: clave.keys.decrypt("e", data),
    ):
        with pytest.raises(InvalidArgument):
            call()


def test_bytes_like_data_signs_like_bytes(clave: Keyclave) -> None:
    clave.keys.create("k", "ED25519")
    expected = clave.keys.sign("k", MESSAGE).signature
    for data in cast("list[bytes]", [bytearray(MESSAGE), memoryview(MESSAGE)]):
        assert clave.keys.sign("k", data).signature == expected


@pytest.mark.parametrize(
    ("algorithm", "scheme"), [("ECDSA_P256", "ECDSA_SHA384"), ("RSA_2048", "ED25519"), ("ED25519", "NONSENSE")]
)
def test_a_scheme_that_does_not_fit_is_refused(clave: Keyclave, algorithm: str, scheme: str) -> None:
    clave.keys.create("k", algorithm)
    with pytest.raises(InvalidArgument):
        clave.keys.sign("k", b"", scheme=scheme)


def test_unknown_algorithms_and_backends_are_refused(clave: Keyclave) -> None:
    with pytest.raises(InvalidArgument):
        clave.keys.create("k", "RSA_1024")
    with pytest.raises(ConfigurationError):
        clave.keys.create("k", "ED25519", backend="missing")
    assert clave.keys.list() == ()


def test_encryption_binds_key_and_associated_data(clave: Keyclave) -> None:
    clave.keys.create("a", "AES_256")
    clave.keys.create("b", "AES_256")
    ciphertext = clave.keys.encrypt("a", MESSAGE, aad=b"invoice 7")
    assert clave.keys.encrypt("a", MESSAGE, aad=b"invoice 7") != ciphertext
    assert clave.keys.decrypt("a", ciphertext, aad=b"invoice 7") == MESSAGE
    for name, blob, aad in (
        ("a", ciphertext, b"invoice 8"),
        ("a", ciphertext, None),
        ("b", ciphertext, b"invoice 7"),
        ("a", ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]), b"invoice 7"),
        ("a", ciphertext[:-1], b"invoice 7"),
    ):
        with pytest.raises(DecryptionFailed):
            clave.keys.decrypt(name, blob, aad=aad)


def test_old_ciphertexts_decrypt_after_a_rotation(clave: Keyclave) -> None:
    clave.keys.create("k", "AES_256")
    old = clave.keys.encrypt("k", MESSAGE)
    assert clave.rotation.rotate("k").version == 2
    new = clave.keys.encrypt("k", MESSAGE)
    assert (clave.keys.decrypt("k", old), clave.keys.decrypt("k", new)) == (MESSAGE, MESSAGE)


def test_large_files_are_encrypted_piece_by_piece(clave: Keyclave, tmp_path: Path) -> None:
    clave.keys.create("k", "AES_256")
    source, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    source.write_bytes(bytes(3_000_001))
    with source.open("rb") as reader, sealed.open("wb") as writer:
        clave.keys.encrypt_stream("k", reader, writer, aad=b"x")
    with sealed.open("rb") as reader, opened.open("wb") as writer:
        clave.keys.decrypt_stream("k", reader, writer, aad=b"x")
    assert opened.read_bytes() == source.read_bytes()


def test_keys_do_what_they_are_for(clave: Keyclave) -> None:
    clave.keys.create("s", "ECDSA_P256")
    clave.keys.create("e", "AES_256")
    with pytest.raises(InvalidArgument):
        clave.keys.encrypt("s", b"")
    with pytest.raises(InvalidArgument):
        clave.keys.sign("e", b"")
    with pytest.raises(CapabilityUnsupported):
        clave.keys.public_key("e")


def test_a_revoked_key_is_of_no_use(clave: Keyclave) -> None:
    clave.keys.create("k", "ECDSA_P256")
    old = clave.keys.sign("k", MESSAGE).signature
    clave.rotation.rotate("k")
    assert {handle.status for handle in clave.keys.revoke("k", "the laptop was stolen")} == {KeyStatus.REVOKED}
    assert {handle.next_rotation_at for handle in clave.keys.versions("k")} == {None}
    with pytest.raises(KeyDisabled):
        clave.keys.sign("k", MESSAGE)
    with pytest.raises(KeyDisabled):
        clave.keys.verify("k", MESSAGE, old)
    with pytest.raises(InvalidSignature):
        clave.keys.verify("k", MESSAGE + b".", old)
    with pytest.raises(KeyDisabled):
        clave.rotation.rotate("k")
    assert clave.recovery.open_intents() == ()


def test_a_revocation_needs_a_reason(clave: Keyclave) -> None:
    clave.keys.create("k", "ECDSA_P256")
    with pytest.raises(InvalidArgument):
        clave.keys.revoke("k", "  ")
    assert clave.keys.get("k").status is KeyStatus.ACTIVE


def test_a_revoked_encryption_key_decrypts_nothing(clave: Keyclave) -> None:
    clave.keys.create("k", "AES_256")
    ciphertext = clave.keys.encrypt("k", MESSAGE)
    clave.keys.revoke("k", "compromised")
    with pytest.raises(KeyDisabled):
        clave.keys.decrypt("k", ciphertext)
    with pytest.raises(KeyDisabled):
        clave.keys.encrypt("k", MESSAGE)


def test_only_versions_out_of_use_are_destroyed(clave: Keyclave) -> None:
    clave.keys.create("k", "ECDSA_P256")
    with pytest.raises(Conflict):
        clave.keys.destroy("k", 1)
    clave.rotation.rotate("k")
    with pytest.raises(PolicyViolation, match="kept until"):
        clave.keys.destroy("k", 1)
    assert clave.keys.versions("k")[0].destroyed_at is None


def test_a_destroyed_version_is_gone_from_its_backend(clave: Keyclave, tmp_path: Path) -> None:
    clave.keys.create("k", "ECDSA_P256")
    keystore = tmp_path / "state" / "backends" / "software"
    assert len(list(keystore.rglob("*.key"))) >= 1
    clave.keys.revoke("k", "no longer needed")
    before = sorted(path.name for path in keystore.rglob("*.key"))
    assert clave.keys.destroy("k", 1).destroyed_at is not None
    assert len(list(keystore.rglob("*.key"))) == len(before) - 1
    assert clave.keys.destroy("k", 1).destroyed_at is not None
    assert clave.keys.public_key("k", 1) is not None


def test_verification_works_without_the_plugin(config: Path) -> None:
    with keyclave.open(config) as clave:
        clave.keys.create("k", "ECDSA_P256")
        signature = clave.keys.sign("k", MESSAGE).signature
    config.write_text(config.read_text() + '\n[plugins]\nblock = ["software"]\n')
    with keyclave.open(config) as clave:
        assert clave.keys.verify("k", MESSAGE, signature) == 1
        with pytest.raises(keyclave.errors.BackendUnavailable):
            clave.keys.sign("k", MESSAGE)


def test_keys_are_still_there_after_a_restart(config: Path) -> None:
    with keyclave.open(config) as clave:
        handle = clave.keys.create("k", "ED25519")
        signature = clave.keys.sign("k", MESSAGE).signature
    with keyclave.open(config) as clave:
        assert clave.keys.get("k") == handle
        assert clave.keys.sign("k", MESSAGE).signature == signature


def test_pages_hold_every_key_once(clave: Keyclave) -> None:
    names = [f"key-{number:02}" for number in range(7)]
    for name in reversed(names):
        clave.keys.create(name, "ED25519")
    assert [[handle.name for handle in page] for page in clave.keys.pages(3)] == [names[:3], names[3:6], names[6:]]
    with pytest.raises(InvalidArgument):
        next(clave.keys.pages(0))
