from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyclave.crypto.algorithms import signing_arguments
from keyclave.crypto.verification import bind_verifier
from keyclave.errors import InvalidArgument, InvalidSignature, VerificationError
from keyclave.models import ALGORITHMS, SIGNATURE_SCHEMES

from core.tests.crypto.der import MALFORMED

MESSAGE = b"the message"
PAIRS = [(name, scheme) for name, algorithm in ALGORITHMS.items() for scheme in algorithm.schemes]
CHEAP = [pair for pair in PAIRS if pair[0] not in {"RSA_3072", "RSA_4096"}]
WITH_DIGEST = [pair for pair in CHEAP if SIGNATURE_SCHEMES[pair[1]].digest]
Keys = Callable[..., Any]


def sign(private: Any, scheme: str, data: bytes = MESSAGE) -> bytes:
    """Sign with the schemes spelled out, so that the table in the package is checked by another one."""
    bits = scheme[-3:]
    hash_algorithm = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}.get(bits)
    if scheme in {"ED25519", "ML_DSA_65"}:
        return bytes(private.sign(data))
    assert hash_algorithm is not None
    if scheme.startswith("ECDSA"):
        return bytes(private.sign(data, ec.ECDSA(hash_algorithm)))
    if scheme.startswith("RSA_PKCS1"):
        return bytes(private.sign(data, padding.PKCS1v15(), hash_algorithm))
    pss = padding.PSS(padding.MGF1(hash_algorithm), int(bits) // 8)
    return bytes(private.sign(data, pss, hash_algorithm))


@pytest.mark.parametrize(("algorithm", "scheme"), PAIRS)
def test_a_signature_is_accepted_for_its_message_and_key_only(algorithm: str, scheme: str, private_key: Keys) -> None:
    private = private_key(algorithm)
    signature = sign(private, scheme)
    verify = bind_verifier(private.public_key(), scheme)
    verify(MESSAGE, signature)
    with pytest.raises(InvalidSignature):
        verify(MESSAGE + b"!", signature)
    with pytest.raises(InvalidSignature):
        verify(b"", signature)


@pytest.mark.parametrize(("algorithm", "scheme"), CHEAP)
def test_another_key_of_the_same_algorithm_does_not_verify_it(algorithm: str, scheme: str, private_key: Keys) -> None:
    verify = bind_verifier(private_key(algorithm, 1).public_key(), scheme)
    with pytest.raises(InvalidSignature):
        verify(MESSAGE, sign(private_key(algorithm), scheme))


@pytest.mark.parametrize(
    ("made", "checked"),
    [
        ("RSA_PSS_SHA256", "RSA_PSS_SHA384"),
        ("RSA_PSS_SHA256", "RSA_PKCS1_SHA256"),
        ("RSA_PKCS1_SHA256", "RSA_PSS_SHA256"),
        ("RSA_PKCS1_SHA256", "RSA_PKCS1_SHA512"),
    ],
)
def test_another_scheme_of_the_same_key_does_not_verify_it(made: str, checked: str, private_key: Keys) -> None:
    private = private_key("RSA_2048")
    with pytest.raises(InvalidSignature):
        bind_verifier(private.public_key(), checked)(MESSAGE, sign(private, made))


@pytest.mark.parametrize("scheme", ["RSA_PSS_SHA256", "RSA_PKCS1_SHA256"])
def test_an_rsa_signature_is_as_long_as_the_modulus(scheme: str, private_key: Keys) -> None:
    private = private_key("RSA_2048")
    messages = (str(number).encode() for number in range(100_000))
    message, signature = next((m, s) for m in messages if (s := sign(private, scheme, m))[0] == 0)
    verify = bind_verifier(private.public_key(), scheme)
    verify(message, signature)
    for wrong in (signature[1:], b"\x00" + signature):
        with pytest.raises(InvalidSignature):
            verify(message, wrong)


@pytest.mark.parametrize(("algorithm", "scheme"), CHEAP)
def test_every_spoiled_signature_is_an_invalid_one(algorithm: str, scheme: str, private_key: Keys) -> None:
    private = private_key(algorithm)
    signature = sign(private, scheme)
    verify = bind_verifier(private.public_key(), scheme)
    flipped = [
        signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        for at in range(0, len(signature), max(1, len(signature) // 70))
    ]
    spoiled = [b"", signature[:-1], signature[1:], signature + b"\0", b"\0" + signature, signature * 2]
    same_length = [bytes(len(signature)), b"\xff" * len(signature)]
    for wrong in (*flipped, *spoiled, *same_length):
        with pytest.raises(InvalidSignature) as caught:
            verify(MESSAGE, wrong)
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(("algorithm", "scheme"), [pair for pair in CHEAP if not pair[1].endswith("512")])
@given(signature=st.binary(max_size=520))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_an_invalid_signature(
    algorithm: str, scheme: str, signature: bytes, private_key: Keys
) -> None:
    with pytest.raises(InvalidSignature):
        bind_verifier(private_key(algorithm).public_key(), scheme)(MESSAGE, signature)


@pytest.mark.parametrize("signature", MALFORMED.values(), ids=MALFORMED)
def test_malformed_der_is_an_invalid_signature(signature: bytes, private_key: Keys) -> None:
    with pytest.raises(InvalidSignature):
        bind_verifier(private_key("ECDSA_P256").public_key(), "ECDSA_SHA256")(MESSAGE, signature)


def test_an_ecdsa_signature_has_one_encoding(private_key: Keys) -> None:
    private = private_key("ECDSA_P256")
    verify = bind_verifier(private.public_key(), "ECDSA_SHA256")
    good = sign(private, "ECDSA_SHA256")
    r, s = decode_dss_signature(good)
    order = ec.SECP256R1().group_order
    padded_r = b"\x02" + bytes([good[3] + 1]) + b"\0" + good[4:]
    others = {
        "long length": b"\x30\x81" + good[1:],
        "indefinite length": b"\x30\x80" + good[2:] + b"\0\0",
        "padded r": b"\x30" + bytes([good[1] + 1]) + padded_r,
        "r + n": encode_dss_signature(r + order, s),
        "s + n": encode_dss_signature(r, s + order),
        "zero r": encode_dss_signature(0, s),
        "zero s": encode_dss_signature(r, 0),
        "p1363": r.to_bytes(32, "big") + s.to_bytes(32, "big"),
    }
    verify(MESSAGE, good)
    for other in others.values():
        with pytest.raises(InvalidSignature):
            verify(MESSAGE, other)


@pytest.mark.parametrize("salt", [0, 20, 32, padding.PSS.MAX_LENGTH], ids=["none", "20", "hash", "longest"])
def test_pss_is_verified_with_any_salt_length(salt: Any, private_key: Keys) -> None:
    private = private_key("RSA_2048")
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    signature = private.sign(MESSAGE, pss, hashes.SHA256())
    bind_verifier(private.public_key(), "RSA_PSS_SHA256")(MESSAGE, signature)


def test_pss_with_another_mask_hash_is_invalid(private_key: Keys) -> None:
    private = private_key("RSA_2048")
    pss = padding.PSS(padding.MGF1(hashes.SHA1()), 32)
    signature = private.sign(MESSAGE, pss, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        bind_verifier(private.public_key(), "RSA_PSS_SHA256")(MESSAGE, signature)


@pytest.mark.parametrize(("algorithm", "scheme"), WITH_DIGEST)
def test_a_digest_stands_for_its_message(algorithm: str, scheme: str, private_key: Keys) -> None:
    private, registered = private_key(algorithm), SIGNATURE_SCHEMES[scheme]
    digest = hashlib.new(registered.digest or "", MESSAGE).digest()
    verify = bind_verifier(private.public_key(), scheme, prehashed=True)
    verify(digest, sign(private, scheme))
    made = private.sign(digest, *signing_arguments(scheme, prehashed=True))
    bind_verifier(private.public_key(), scheme)(MESSAGE, made)
    with pytest.raises(InvalidSignature):
        verify(bytes(registered.digest_size), made)
    for length in (0, registered.digest_size - 1, registered.digest_size + 1):
        with pytest.raises(InvalidArgument, match=f"digest of {registered.digest_size} bytes") as caught:
            verify(bytes(length), made)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("algorithm", ["ED25519", "ML_DSA_65"])
def test_a_scheme_that_takes_the_whole_message_refuses_digests(algorithm: str, private_key: Keys) -> None:
    with pytest.raises(InvalidArgument, match="signs messages, not digests"):
        bind_verifier(private_key(algorithm).public_key(), algorithm, prehashed=True)


@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [
        ("ECDSA_P256", "ECDSA_SHA384"),
        ("ECDSA_P384", "ECDSA_SHA256"),
        ("RSA_2048", "ECDSA_SHA256"),
        ("ED25519", "ML_DSA_65"),
        ("ED25519", "RSA_PSS_SHA256"),
        ("RSA_2048", "RSA_PSS_SHA1"),
    ],
)
def test_a_scheme_of_another_algorithm_is_refused(algorithm: str, scheme: str, private_key: Keys) -> None:
    with pytest.raises(InvalidArgument):
        bind_verifier(private_key(algorithm).public_key(), scheme)


@pytest.mark.parametrize("algorithm", ["RSA_2048", "ECDSA_P256", "ED25519", "ML_DSA_65"])
@pytest.mark.parametrize(("data", "signature"), [("text", b"x"), (b"x", "text"), (None, b"x"), (b"x", None), (1, 2)])
def test_what_is_not_bytes_is_refused(algorithm: str, data: Any, signature: Any, private_key: Keys) -> None:
    scheme = ALGORITHMS[algorithm].schemes[0]
    with pytest.raises(InvalidArgument, match="must be bytes") as caught:
        bind_verifier(private_key(algorithm).public_key(), scheme)(data, signature)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("algorithm", "scheme"), CHEAP)
def test_memoryviews_and_bytearrays_are_bytes(algorithm: str, scheme: str, private_key: Keys) -> None:
    private = private_key(algorithm)
    verify: Any = bind_verifier(private.public_key(), scheme)
    verify(bytearray(MESSAGE), memoryview(sign(private, scheme)))


class _Unable(ed25519.Ed25519PublicKey):
    """A key whose library cannot verify."""

    def verify(self, signature: Any, data: Any) -> None:
        raise UnsupportedAlgorithm("secret detail")

    @classmethod
    def from_public_bytes(cls, data: bytes) -> ed25519.Ed25519PublicKey:
        return cls()

    def public_bytes(self, encoding: Any, format: Any) -> bytes:  # noqa: A002  the name of the base class
        return b""

    def public_bytes_raw(self) -> bytes:
        return b""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return 0

    def __copy__(self) -> ed25519.Ed25519PublicKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> ed25519.Ed25519PublicKey:
        return self


def test_what_cannot_be_checked_is_not_called_invalid() -> None:
    with pytest.raises(VerificationError, match=r"(?m)could not be checked: UnsupportedAlgorithm$") as caught:
        bind_verifier(_Unable(), "ED25519")(MESSAGE, bytes(64))
    assert caught.value.__context__ is None


OPENSSL_OPTIONS = {
    "RSA_PSS": ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"],
    "RSA_PKCS1": ["-sigopt", "rsa_padding_mode:pkcs1"],
    "ECDSA": [],
}


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / name for name in ("private", "public", "message", "signature")}
    paths["message"].write_bytes(MESSAGE)
    return paths


def _write_keys(files: dict[str, Path], private: Any) -> None:
    pem = serialization.Encoding.PEM
    files["private"].write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files["public"].write_bytes(
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.mark.parametrize(("algorithm", "scheme"), WITH_DIGEST)
def test_openssl_agrees_in_both_directions(
    algorithm: str, scheme: str, private_key: Keys, files: dict[str, Path]
) -> None:
    private = private_key(algorithm)
    _write_keys(files, private)
    options = [f"-{SIGNATURE_SCHEMES[scheme].digest}", *OPENSSL_OPTIONS[scheme.rpartition("_")[0]]]
    openssl("dgst", *options, "-sign", files["private"], "-out", files["signature"], files["message"])
    bind_verifier(private.public_key(), scheme)(MESSAGE, files["signature"].read_bytes())
    files["signature"].write_bytes(private.sign(MESSAGE, *signing_arguments(scheme)))
    openssl("dgst", *options, "-verify", files["public"], "-signature", files["signature"], files["message"])


def test_openssl_agrees_on_ed25519(private_key: Keys, files: dict[str, Path]) -> None:
    private = private_key("ED25519")
    _write_keys(files, private)
    raw: list[str | Path] = ["pkeyutl", "-rawin", "-in", files["message"]]
    openssl(*raw, "-sign", "-inkey", files["private"], "-out", files["signature"])
    assert files["signature"].read_bytes() == private.sign(MESSAGE, *signing_arguments("ED25519"))
    bind_verifier(private.public_key(), "ED25519")(MESSAGE, files["signature"].read_bytes())
    openssl(*raw, "-verify", "-pubin", "-inkey", files["public"], "-sigfile", files["signature"])
