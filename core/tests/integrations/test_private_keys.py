"""What the objects are, whichever library uses them, and what they leave behind."""

from __future__ import annotations

import copy
import hashlib
import inspect
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from keyclave import Keyclave
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.integrations.ec_keys import BackendECKey
from keyclave.integrations.message_keys import BackendEd25519Key, BackendMLDSA65Key
from keyclave.integrations.private_keys import private_key as make
from keyclave.integrations.rsa_keys import BackendRSAKey
from keyclave.models import ALGORITHMS

from core.tests.integrations.certificates import pss
from core.tests.integrations.conftest import PrivateKeys

MESSAGE = b"The message that every key signs."
BASES: dict[str, Any] = {
    "RSA_2048": rsa.RSAPrivateKey,
    "ECDSA_P256": ec.EllipticCurvePrivateKey,
    "ECDSA_P384": ec.EllipticCurvePrivateKey,
    "ED25519": ed25519.Ed25519PrivateKey,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey,
}
every = pytest.mark.parametrize("algorithm", BASES)


@pytest.mark.parametrize(
    ("base", "ours"),
    [
        (rsa.RSAPrivateKey, BackendRSAKey),
        (ec.EllipticCurvePrivateKey, BackendECKey),
        (ed25519.Ed25519PrivateKey, BackendEd25519Key),
        (mldsa.MLDSA65PrivateKey, BackendMLDSA65Key),
    ],
)
def test_every_method_of_the_base_class_is_there(base: type, ours: type) -> None:
    assert not inspect.isabstract(ours)
    assert issubclass(ours, base)
    public = {attribute for attribute in vars(base) if not attribute.startswith("_")}
    made_from_a_key = {"generate", "from_private_bytes", "from_seed_bytes"}
    own = {attribute for cls in ours.__mro__[: ours.__mro__.index(base)] for attribute in vars(cls)}
    assert public - made_from_a_key <= own


@every
def test_it_is_a_private_key_of_the_library(shared: Keyclave, private_key: PrivateKeys, algorithm: str) -> None:
    key = private_key(algorithm)
    assert isinstance(key, BASES[algorithm])
    assert key.public_key() == shared.keys.public_key(algorithm.lower())
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key
    assert repr(key) == f"<{type(key).__name__} '{algorithm.lower()}'>"


@pytest.mark.parametrize(("algorithm", "bits"), [("RSA_2048", 2048), ("ECDSA_P256", 256), ("ECDSA_P384", 384)])
def test_it_knows_its_size(private_key: PrivateKeys, algorithm: str, bits: int) -> None:
    assert private_key(algorithm).key_size == private_key(algorithm).public_key().key_size == bits


@pytest.mark.parametrize(("algorithm", "curve"), [("ECDSA_P256", ec.SECP256R1), ("ECDSA_P384", ec.SECP384R1)])
def test_it_knows_its_curve(private_key: PrivateKeys, algorithm: str, curve: type) -> None:
    assert isinstance(private_key(algorithm).curve, curve)


def test_a_key_without_a_name_shows_none() -> None:
    public_key = ed25519.Ed25519PrivateKey.generate().public_key()
    key = make(public_key, "ED25519", lambda data, scheme, prehashed: b"")
    assert repr(key) == "<BackendEd25519Key>"


@pytest.mark.parametrize("salt_length", [padding.PSS.DIGEST_LENGTH, "the same as a number"])
@pytest.mark.parametrize("hash_algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_rsa_signs_digests(private_key: PrivateKeys, hash_algorithm: Any, salt_length: Any) -> None:
    key = private_key("RSA_2048")
    salt_length = hash_algorithm.digest_size if isinstance(salt_length, str) else salt_length
    digest = hashlib.new(hash_algorithm.name, MESSAGE).digest()
    for way in (padding.PKCS1v15(), pss(hash_algorithm, salt_length)):
        signature = key.sign(digest, way, Prehashed(hash_algorithm))
        key.public_key().verify(signature, MESSAGE, way, hash_algorithm)
        with pytest.raises(InvalidArgument, match="digest"):
            key.sign(digest[:-1], way, Prehashed(hash_algorithm))


@pytest.mark.parametrize(
    ("algorithm", "hash_algorithm"), [("ECDSA_P256", hashes.SHA256()), ("ECDSA_P384", hashes.SHA384())]
)
def test_ecdsa_signs_digests(private_key: PrivateKeys, algorithm: str, hash_algorithm: Any) -> None:
    key = private_key(algorithm)
    digest = hashlib.new(hash_algorithm.name, MESSAGE).digest()
    signature = key.sign(digest, ec.ECDSA(Prehashed(hash_algorithm)))
    key.public_key().verify(signature, MESSAGE, ec.ECDSA(hash_algorithm))
    with pytest.raises(InvalidArgument, match="digest"):
        key.sign(digest + b".", ec.ECDSA(Prehashed(hash_algorithm)))


def test_ml_dsa_signs_with_the_empty_context(private_key: PrivateKeys) -> None:
    key = private_key("ML_DSA_65")
    for signature in (key.sign(MESSAGE), key.sign(MESSAGE, None), key.sign(MESSAGE, b"")):
        key.public_key().verify(signature, MESSAGE)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_bytes_like_data_are_signed(private_key: PrivateKeys, wrap: Any) -> None:
    ed, rsa_key = private_key("ED25519"), private_key("RSA_2048")
    ed.public_key().verify(ed.sign(wrap(MESSAGE)), MESSAGE)
    way = pss(hashes.SHA256())
    rsa_key.public_key().verify(rsa_key.sign(wrap(MESSAGE), way, hashes.SHA256()), MESSAGE, way, hashes.SHA256())


def test_encryption_keys_are_no_private_keys(clave: Keyclave) -> None:
    clave.keys.create("e", "AES_256")
    with pytest.raises(CapabilityUnsupported, match="AES_256 has no public key"):
        clave.keys.private_key("e")
    with pytest.raises(InvalidArgument, match="AES_256 is no private key: it encrypts"):
        make(None, "AES_256", lambda data, scheme, prehashed: b"")
    with pytest.raises(InvalidArgument, match="unknown algorithm"):
        make(None, "DSA_1024", lambda data, scheme, prehashed: b"")


def test_every_algorithm_that_signs_has_a_class() -> None:
    for algorithm in ALGORITHMS.values():
        if algorithm.signs:
            assert make(None, algorithm.name, lambda data, scheme, prehashed: b"") is not None
