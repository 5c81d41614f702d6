from __future__ import annotations

import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyclave.crypto.wrapping import generate_wrapping_key, unwrap_key, wrap_key
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA1, RSA_AES_KEY_WRAP_SHA256
from pydantic import SecretBytes

from core.tests.crypto.weak_rsa import spki_of

METHOD = RSA_AES_KEY_WRAP_SHA256
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
OPENSSL_OAEP = " ".join(
    f"-pkeyopt rsa_{option}" for option in ("padding_mode:oaep", "oaep_md:sha256", "mgf1_md:sha256")
)
Keys = Callable[..., Any]


@pytest.fixture(scope="session")
def wrapping_key(private_key: Keys) -> Any:
    return private_key("RSA_3072")


def spki(key: rsa.RSAPrivateKey) -> bytes:
    return spki_of(key.public_key().public_numbers().n)


def pkcs8(key: Any) -> bytes:
    return bytes(
        key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def refused(blob: Any, key: rsa.RSAPrivateKey, method: str = METHOD) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        unwrap_key(blob, key, method)
    return caught.value


@given(secret=st.binary(min_size=1, max_size=200))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_wrapped_is_unwrapped(secret: bytes, wrapping_key: rsa.RSAPrivateKey) -> None:
    blob = wrap_key(SecretBytes(secret), spki(wrapping_key), METHOD)
    assert unwrap_key(blob, wrapping_key, METHOD).get_secret_value() == secret


@pytest.mark.parametrize("algorithm", ["RSA_4096", "ECDSA_P384", "ED25519", "ML_DSA_65"])
def test_private_keys_survive(algorithm: str, private_key: Keys, wrapping_key: rsa.RSAPrivateKey) -> None:
    secret = pkcs8(private_key(algorithm))
    blob = wrap_key(SecretBytes(secret), spki(wrapping_key), METHOD)
    assert unwrap_key(blob, wrapping_key, METHOD).get_secret_value() == secret
    assert secret not in blob


def test_what_is_wrapped_with_sha1_is_unwrapped_with_sha1_alone(wrapping_key: rsa.RSAPrivateKey) -> None:
    blob = wrap_key(SecretBytes(b"a secret"), spki(wrapping_key), RSA_AES_KEY_WRAP_SHA1)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    kek = wrapping_key.decrypt(blob[:384], oaep)
    assert keywrap.aes_key_unwrap_with_padding(kek, blob[384:]) == b"a secret"
    assert unwrap_key(blob, wrapping_key, RSA_AES_KEY_WRAP_SHA1).get_secret_value() == b"a secret"
    refused(blob, wrapping_key, METHOD)


def test_two_blobs_of_one_key_differ(wrapping_key: rsa.RSAPrivateKey) -> None:
    one, other = (wrap_key(SecretBytes(bytes(32)), spki(wrapping_key), METHOD) for _ in range(2))
    assert one != other
    assert one[384:] != other[384:]


@pytest.mark.needs("openssl")
def test_openssl_unwraps_it(wrapping_key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    blob = wrap_key(SecretBytes(b"a secret of 25 characters"), spki(wrapping_key), METHOD)
    (tmp_path / "key").write_bytes(pkcs8(wrapping_key))
    kek = run(f"pkeyutl -decrypt -inkey {tmp_path / 'key'} {OPENSSL_OAEP}", blob[:384])
    assert len(kek) == 32
    assert run(f"enc -d -id-aes256-wrap-pad -iv a65959a6 -K {kek.hex()}", blob[384:]) == b"a secret of 25 characters"


def run(command: str, data: bytes) -> bytes:
    return subprocess.run(["openssl", *command.split()], input=data, check=True, capture_output=True).stdout


@pytest.mark.needs("openssl")
def test_what_openssl_wraps_is_unwrapped(wrapping_key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(spki(wrapping_key))
    first = run(f"pkeyutl -encrypt -pubin -keyform DER -inkey {tmp_path / 'key'} {OPENSSL_OAEP}", bytes(range(32)))
    wrapped = run(f"enc -id-aes256-wrap-pad -iv a65959a6 -K {bytes(range(32)).hex()}", b"made elsewhere")
    assert unwrap_key(first + wrapped, wrapping_key, METHOD).get_secret_value() == b"made elsewhere"


def test_every_malformed_blob_is_refused_in_the_same_words(
    wrapping_key: rsa.RSAPrivateKey, private_key: Keys
) -> None:
    public = wrapping_key.public_key()
    secret = SecretBytes(b"k" * 40)
    good = wrap_key(secret, spki(wrapping_key), METHOD)
    first, second = good[:384], good[384:]
    sha1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    labelled = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    blobs = {
        "empty": b"",
        "first part cut": first[:-1],
        "first part only": first,
        "cut": good[:-1],
        "cut by a block": good[:-8],
        "trailing": good + bytes(8),
        "parts swapped": second + first,
        "first part spoiled": bytes([first[0] ^ 1]) + good[1:],
        "second part spoiled": good[:-1] + bytes([good[-1] ^ 1]),
        "zeros": bytes(len(good)),
        "other wrapping key": wrap_key(secret, spki(private_key("RSA_3072", 1)), METHOD),
        "SHA-1": public.encrypt(bytes(32), sha1) + keywrap.aes_key_wrap_with_padding(bytes(32), b"k" * 40),
        "label": public.encrypt(bytes(32), labelled) + keywrap.aes_key_wrap_with_padding(bytes(32), b"k" * 40),
        "PKCS#1 v1.5": public.encrypt(bytes(32), padding.PKCS1v15()) + second,
        "AES-128": public.encrypt(bytes(16), OAEP) + keywrap.aes_key_wrap_with_padding(bytes(16), b"k" * 40),
        "empty AES key": public.encrypt(b"", OAEP) + second,
        "AES-KW": public.encrypt(bytes(32), OAEP) + keywrap.aes_key_wrap(bytes(32), b"k" * 40),
        "None": None,
        "text": good.hex(),
    }
    words = {name: str(refused(blob, wrapping_key)) for name, blob in blobs.items()}
    assert set(words.values()) == {"the wrapped key cannot be unwrapped"}
    assert str(refused(good, wrapping_key, "RSA_AES_KEY_WRAP_SHA1")) == "the wrapped key cannot be unwrapped"


@given(data=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_bit_is_refused(data: st.DataObject, wrapping_key: rsa.RSAPrivateKey) -> None:
    blob = bytearray(wrap_key(SecretBytes(b"k" * 40), spki(wrapping_key), METHOD))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    refused(bytes(blob), wrapping_key)


def test_a_refusal_carries_no_key(wrapping_key: rsa.RSAPrivateKey) -> None:
    kek = bytes(range(65, 97))
    good = keywrap.aes_key_wrap_with_padding(kek, b"k" * 40)
    error = refused(wrapping_key.public_key().encrypt(kek, OAEP) + good[:-1] + b"!", wrapping_key)
    assert error.__context__ is None
    assert error.__cause__ is None
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert kek.decode() not in told
    assert kek.hex() not in told


def test_a_refusal_to_wrap_carries_no_key(private_key: Keys) -> None:
    secret = SecretBytes(bytes(range(65, 97)))
    with pytest.raises(InvalidArgument) as caught:
        wrap_key(secret, spki(private_key("RSA_2048")), METHOD)
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert secret.get_secret_value().decode() not in told


def test_a_wrapping_key_that_is_too_short_weak_or_not_rsa_is_refused(private_key: Keys) -> None:
    ec_key = private_key("ECDSA_P256").public_key()
    der = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for wrong in (spki(private_key("RSA_2048")), ec_key.public_bytes(*der)):
        with pytest.raises(InvalidArgument, match="3072 bits or more"):
            wrap_key(SecretBytes(bytes(32)), wrong, METHOD)
    with pytest.raises(InvalidArgument, match="exponent"):
        wrap_key(SecretBytes(bytes(32)), spki_of(private_key("RSA_3072").public_key().public_numbers().n, 3), METHOD)
    with pytest.raises(InvalidArgument, match="SubjectPublicKeyInfo"):
        wrap_key(SecretBytes(bytes(32)), b"", METHOD)


def test_an_empty_key_and_an_unknown_method_are_refused(wrapping_key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(InvalidArgument, match="no key to wrap"):
        wrap_key(SecretBytes(b""), spki(wrapping_key), METHOD)
    with pytest.raises(CapabilityUnsupported, match="ROT_13"):
        wrap_key(SecretBytes(bytes(32)), spki(wrapping_key), "ROT_13")


def test_a_generated_wrapping_key_is_long_enough() -> None:
    key = generate_wrapping_key()
    assert key.key_size == 3072
    blob = wrap_key(SecretBytes(b"k"), spki(key), METHOD)
    assert unwrap_key(blob, key, METHOD).get_secret_value() == b"k"
