from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from keyclave.crypto.algorithms import (
    algorithm_of,
    bind_digest,
    hash_of,
    load_public_key,
    signing_arguments,
    verification_arguments,
)
from keyclave.errors import InvalidArgument
from keyclave.models import ALGORITHMS, SIGNATURE_SCHEMES

SIGNING = [name for name, algorithm in ALGORITHMS.items() if algorithm.signs]
WITH_DIGEST = [scheme for scheme in SIGNATURE_SCHEMES.values() if scheme.digest]
WHOLE_MESSAGE = [scheme.name for scheme in SIGNATURE_SCHEMES.values() if not scheme.digest]
DER, SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
NULL_PARAMETERS = bytes.fromhex("300d06092a864886f70d0101010500")


def spki_of(private: Any) -> bytes:
    return bytes(private.public_key().public_bytes(DER, SPKI))


@pytest.mark.parametrize("algorithm", SIGNING)
def test_every_signing_algorithm_is_recognised_from_both_halves(
    algorithm: str, private_key: Callable[..., Any]
) -> None:
    private = private_key(algorithm)
    assert algorithm_of(private) == algorithm
    assert algorithm_of(load_public_key(spki_of(private))) == algorithm


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 1024),
        lambda: ec.generate_private_key(ec.SECP521R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate,
        x25519.X25519PrivateKey.generate,
    ],
    ids=["RSA 1024", "P-521", "secp256k1", "Ed448", "X25519"],
)
def test_a_key_of_no_registered_algorithm_is_refused(make: Callable[[], Any]) -> None:
    private = make()
    with pytest.raises(InvalidArgument, match="no algorithm is registered"):
        algorithm_of(private)
    with pytest.raises(InvalidArgument):
        load_public_key(spki_of(private))


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="str"):
        algorithm_of("a name")


def _compressed(private: ec.EllipticCurvePrivateKey) -> bytes:
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    bits = b"\x03\x22\x00" + point
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    return b"\x30" + bytes([len(algorithm) + len(bits)]) + algorithm + bits


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spki: b"",
        lambda spki: spki[:-1],
        lambda spki: spki + b"\0",
        lambda spki: b"\x30\x80" + spki[4:] + b"\0\0",
        lambda spki: b"\x30\x83\0" + spki[2:],
        lambda spki: spki.replace(NULL_PARAMETERS, bytes.fromhex("300b06092a864886f70d010101")),
        lambda spki: None,
        lambda spki: spki.hex(),
    ],
    ids=["empty", "cut", "trailing", "indefinite length", "long length", "no parameters", "None", "text"],
)
def test_anything_but_strict_der_is_refused(spoil: Callable[[bytes], Any], private_key: Callable[..., Any]) -> None:
    with pytest.raises(InvalidArgument, match="SubjectPublicKeyInfo") as caught:
        load_public_key(spoil(spki_of(private_key("RSA_2048"))))
    assert caught.value.__context__ is None


def test_other_forms_that_cryptography_reads_are_refused(private_key: Callable[..., Any]) -> None:
    pkcs1 = private_key("RSA_2048").public_key().public_bytes(DER, serialization.PublicFormat.PKCS1)
    compressed = _compressed(private_key("ECDSA_P256"))
    for readable in (pkcs1, compressed):
        serialization.load_der_public_key(readable)
        with pytest.raises(InvalidArgument, match="SubjectPublicKeyInfo"):
            load_public_key(readable)


def test_a_point_off_the_curve_is_refused(private_key: Callable[..., Any]) -> None:
    spki = bytearray(spki_of(private_key("ECDSA_P256")))
    spki[-1] ^= 1
    with pytest.raises(InvalidArgument, match="SubjectPublicKeyInfo"):
        load_public_key(bytes(spki))


@pytest.mark.parametrize("scheme", WITH_DIGEST, ids=lambda scheme: scheme.name)
def test_the_digest_is_the_one_that_cryptography_makes(scheme: Any) -> None:
    made = bind_digest(scheme.name)(b"message")
    independent = hashes.Hash(hash_of(scheme.name))
    independent.update(b"message")
    assert made == independent.finalize()
    assert len(made) == scheme.digest_size


@pytest.mark.parametrize("scheme", WHOLE_MESSAGE)
def test_a_scheme_that_takes_the_whole_message_has_no_digest(scheme: str) -> None:
    for refused in (
        lambda: bind_digest(scheme)(b"message"),
        lambda: hash_of(scheme),
        lambda: signing_arguments(scheme, prehashed=True),
        lambda: verification_arguments(scheme, prehashed=True),
    ):
        with pytest.raises(InvalidArgument, match="signs messages, not digests"):
            refused()
    assert signing_arguments(scheme) == verification_arguments(scheme) == ()


@pytest.mark.parametrize("scheme", SIGNATURE_SCHEMES)
def test_hashes_and_paddings_are_made_once(scheme: str) -> None:
    assert signing_arguments(scheme) is signing_arguments(scheme)
    assert verification_arguments(scheme) is verification_arguments(scheme)


def test_an_unknown_scheme_is_refused() -> None:
    for refused in (signing_arguments, verification_arguments, hash_of):
        with pytest.raises(InvalidArgument, match="unknown signature scheme"):
            refused("RSA_PSS_MD5")
