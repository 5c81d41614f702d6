"""The content of a key file: what was written is read back, and anything else is refused in the same way."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyclave.errors import IntegrityError
from keyclave_software.backend import SoftwareBackend
from keyclave_software.master_key import MasterKey
from keyclave_software.sealed import KeyHeader, SealedKey, open_sealed, seal
from pydantic import SecretBytes

from plugins.software.tests.conftest import KeyFile, NewKey

MASTER = MasterKey(SecretBytes(bytes(range(32))))
SECRET = b"secret key bytes of some length."
HEADER = KeyHeader(
    label="keyclave:1", algorithm="AES_256", exportable=False, created_at=datetime(2026, 1, 2, tzinfo=UTC)
)


def sealed(header: KeyHeader = HEADER) -> bytes:
    return seal(SealedKey(header, SecretBytes(SECRET)), MASTER)


def flipped(content: bytes, index: int, bit: int) -> bytes:
    return content[:index] + bytes([content[index] ^ 1 << bit]) + content[index + 1 :]


def require_refused(content: bytes, master: MasterKey = MASTER) -> None:
    with pytest.raises(IntegrityError) as caught:
        open_sealed(content, master)
    assert type(caught.value) is IntegrityError
    assert str(caught.value) == "a key file is not what was written"
    assert caught.value.__context__ is None


def test_what_was_sealed_is_opened() -> None:
    header, secret = open_sealed(sealed(), MASTER)
    assert header == HEADER
    assert secret.get_secret_value() == SECRET


def test_the_format_is_the_documented_one() -> None:
    """Written out by hand: HKDF-SHA256 of RFC 5869, then AES-256-GCM."""
    content = sealed()
    length = int.from_bytes(content[8:10], "big")
    start = content[: 10 + length]
    salt, commitment = content[10 + length : 42 + length], content[42 + length : 74 + length]
    nonce, ciphertext = content[74 + length : 86 + length], content[86 + length :]
    assert start == b"KCSWKEY1" + start[8:10] + msgspec.json.encode(HEADER)
    extracted = hmac.digest(salt, bytes(range(32)), sha256)
    context = b"keyclave software key file\0" + start
    key = hmac.digest(extracted, context + b"\1", sha256)
    assert hmac.digest(extracted, key + context + b"\2", sha256) == commitment
    assert AESGCM(key).decrypt(nonce, ciphertext, content[: 86 + length]) == SECRET


def test_a_file_that_decrypts_but_commits_to_another_key_is_refused() -> None:
    content = sealed()
    start = 10 + int.from_bytes(content[8:10], "big")
    salt, nonce = content[start : start + 32], content[start + 64 : start + 76]
    derived = MASTER.derive(salt, b"keyclave software key file\0" + content[:start], 64).get_secret_value()
    for commitment in (derived[32:], bytes(32)):
        associated = content[:start] + salt + commitment + nonce
        written = associated + AESGCM(derived[:32]).encrypt(nonce, SECRET, associated)
        if commitment == derived[32:]:
            assert open_sealed(written, MASTER).secret.get_secret_value() == SECRET
        else:
            require_refused(written)


def test_sealing_twice_repeats_nothing() -> None:
    one, other = sealed(), sealed()
    start = 10 + int.from_bytes(one[8:10], "big")
    assert one[:start] == other[:start]
    assert not {one[n : n + 8] for n in range(start, len(one) - 8)} & {
        other[n : n + 8] for n in range(start, len(other) - 8)
    }


def test_every_bit_that_is_flipped_is_noticed() -> None:
    content = sealed()
    for index in range(len(content)):
        for bit in range(8):
            require_refused(flipped(content, index, bit))


def test_every_length_but_the_right_one_is_refused() -> None:
    content = sealed()
    for length in range(len(content)):
        require_refused(content[:length])
    for more in (b"\0", bytes(16), content):
        require_refused(content + more)


def test_parts_of_two_files_do_not_fit_together() -> None:
    one, other = sealed(), sealed()
    for cut in range(1, len(one)):
        mixed = one[:cut] + other[cut:]
        if mixed not in (one, other):
            require_refused(mixed)


def test_a_header_that_was_edited_is_refused() -> None:
    content = sealed()
    for old, new in (
        (b'"exportable":false', b'"exportable":true '),
        (b'"enabled":true', b'"enabled":null'),
        (b"AES_256", b"AES_128"),
        (b"2026", b"2027"),
        (b'"format":1', b'"format":2'),
    ):
        assert old in content
        require_refused(content.replace(old, new))


def test_a_header_of_an_unknown_format_is_refused_even_if_we_wrote_it() -> None:
    content = sealed(msgspec.structs.replace(HEADER, format=2))
    require_refused(content)


def test_a_header_longer_than_its_limit_is_refused() -> None:
    require_refused(sealed(msgspec.structs.replace(HEADER, label="x" * 1024)))


def test_another_master_key_opens_nothing() -> None:
    require_refused(sealed(), MasterKey(SecretBytes(bytes(32))))


def test_files_on_disk_are_checked_at_every_byte(
    backend: SoftwareBackend, new_key: NewKey, key_file: KeyFile
) -> None:
    created = new_key("ECDSA_P256")
    path, content = key_file(created), key_file(created).read_bytes()
    for index in range(len(content)):
        for damaged in (content[:index], flipped(content, index, index % 8)):
            backend.close()
            path.write_bytes(damaged)
            with pytest.raises(IntegrityError):
                backend.sign(key=created.reference, data=bytes(32), scheme="ECDSA_SHA256")
    with pytest.raises(IntegrityError):
        backend.list_keys(page=None)
    path.write_bytes(content)
    assert backend.public_key(key=created.reference).spki == created.public_key


def test_a_file_in_the_place_of_another_is_refused(
    backend: SoftwareBackend, new_key: NewKey, key_file: KeyFile
) -> None:
    one, other = new_key(), new_key()
    backend.close()
    key_file(one).write_bytes(key_file(other).read_bytes())
    with pytest.raises(IntegrityError, match="holds another key"):
        backend.sign(key=one.reference, data=b"message", scheme="ED25519")
    with pytest.raises(IntegrityError, match="holds another key"):
        backend.find_key(label=one.reference.label)
    with pytest.raises(IntegrityError, match="holds another key"):
        backend.list_keys(page=None)
