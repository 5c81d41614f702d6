"""How keys in a backend do not sign: each refusal says what was asked for, and what works instead."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from keyclave import Keyclave
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.integrations.private_keys import private_key as make

from core.tests.integrations.certificates import HASHES, pss
from core.tests.integrations.conftest import PrivateKeys
from core.tests.integrations.refusals import refused

MESSAGE = b"The message that every key signs."
every = pytest.mark.parametrize("algorithm", HASHES)


OTHER_RSA: list[tuple[Any, Any, str]] = [
    (pss(hashes.SHA256(), padding.PSS.MAX_LENGTH), hashes.SHA256(), "this EMSA-PSS padding; PKCS1v15, or PSS with"),
    (
        pss(hashes.SHA256(), padding.PSS.AUTO),
        hashes.SHA256(),
        "this EMSA-PSS padding; .*salt_length=PSS.DIGEST_LENGTH",
    ),
    (pss(hashes.SHA256(), 0), hashes.SHA256(), "this EMSA-PSS padding"),
    (pss(hashes.SHA256(), 31), hashes.SHA256(), "this EMSA-PSS padding"),
    (pss(hashes.SHA256(), 33), Prehashed(hashes.SHA256()), "this EMSA-PSS padding"),
    (pss(hashes.SHA1()), hashes.SHA256(), "this EMSA-PSS padding"),
    (pss(hashes.SHA256()), hashes.SHA384(), "this EMSA-PSS padding"),
    (pss(hashes.SHA256()), None, "this EMSA-PSS padding"),
    (padding.PSS(object(), 32), hashes.SHA256(), "this EMSA-PSS padding"),  # type: ignore[arg-type]
    (padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None), hashes.SHA256(), "this EME-OAEP padding"),
    (None, hashes.SHA256(), "this NoneType padding"),
    (padding.PKCS1v15, hashes.SHA256(), "padding"),
    (padding.PKCS1v15(), None, "NoneType; a hash, or Prehashed of one, works"),
    (padding.PKCS1v15(), NoDigestInfo(), "NoDigestInfo"),
    (padding.PKCS1v15(), hashlib.sha256(), "HASH"),
    (padding.PKCS1v15(), "sha256", "str"),
    (padding.PKCS1v15(), hashes.SHA1(), "RSA_PKCS1_SHA1"),
    (padding.PKCS1v15(), hashes.MD5(), "RSA_PKCS1_MD5"),
    (padding.PKCS1v15(), hashes.SHA224(), "RSA_PKCS1_SHA224"),
    (padding.PKCS1v15(), hashes.SHA512_256(), "RSA_PKCS1_SHA512-256"),
    (padding.PKCS1v15(), hashes.SHA3_256(), "RSA_PKCS1_SHA3-256"),
    (padding.PKCS1v15(), Prehashed(hashes.SHA1()), "RSA_PKCS1_SHA1"),
    (pss(hashes.SHA1()), hashes.SHA1(), "RSA_PSS_SHA1"),
]
OTHER_ECDSA: list[tuple[str, Any, str]] = [
    ("ECDSA_P256", ec.ECDSA(hashes.SHA384()), "cannot sign with ECDSA_SHA384"),
    ("ECDSA_P384", ec.ECDSA(hashes.SHA256()), "cannot sign with ECDSA_SHA256"),
    ("ECDSA_P256", ec.ECDSA(hashes.SHA1()), "ECDSA_SHA1"),
    ("ECDSA_P256", ec.ECDSA(hashes.SHA3_256()), "ECDSA_SHA3-256"),
    ("ECDSA_P256", ec.ECDSA(Prehashed(hashes.SHA512())), "ECDSA_SHA512"),
    (
        "ECDSA_P256",
        ec.ECDSA(hashes.SHA256(), deterministic_signing=True),
        "deterministic ECDSA; randomised ECDSA works",
    ),
    ("ECDSA_P256", ec.ECDH(), "ECDH; ECDSA works"),
    ("ECDSA_P256", hashes.SHA256(), "SHA256; ECDSA works"),
    ("ECDSA_P256", None, "NoneType; ECDSA works"),
    ("ECDSA_P256", ec.ECDSA("sha256"), "str; a hash"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("way", "algorithm", "says"), OTHER_RSA)
def test_rsa_does_not_sign_in_other_ways(private_key: PrivateKeys, way: Any, algorithm: Any, says: str) -> None:
    refused(InvalidArgument, lambda: private_key("RSA_2048").sign(MESSAGE, way, algorithm), says)


@pytest.mark.parametrize(("key", "algorithm", "says"), OTHER_ECDSA)
def test_ecdsa_does_not_sign_in_other_ways(private_key: PrivateKeys, key: str, algorithm: Any, says: str) -> None:
    refused(InvalidArgument, lambda: private_key(key).sign(MESSAGE, algorithm), says)


def test_ml_dsa_does_not_sign_in_other_ways(private_key: PrivateKeys) -> None:
    key = private_key("ML_DSA_65")
    refused(InvalidArgument, lambda: key.sign(MESSAGE, b"context"), "a context; no context works")
    refused(InvalidArgument, lambda: key.sign_mu(bytes(64)), "a message representative; the message works")


@every
@pytest.mark.parametrize("data", ["text", None, 7, [1]])
def test_only_bytes_are_signed(private_key: PrivateKeys, algorithm: str, data: Any) -> None:
    ways = {"RSA_2048": (padding.PKCS1v15(), hashes.SHA256())}
    arguments = ways.get(algorithm, (ec.ECDSA(HASHES[algorithm]),) if HASHES[algorithm] else ())
    refused(InvalidArgument, lambda: private_key(algorithm).sign(data, *arguments), "data must be bytes, not")


def test_a_salt_of_another_length_than_asked_for_is_refused() -> None:
    """Some TPMs take the longest salt: `keys.verify` accepts it, a certificate that names 32 bytes does not."""
    raw = rsa.generate_private_key(65537, 2048)
    made: list[bytes] = []

    def longest(data: bytes, scheme: str, prehashed: bool) -> bytes:  # noqa: FBT001  the protocol of Sign
        assert (scheme, prehashed) == ("RSA_PSS_SHA256", False)
        made.append(raw.sign(data, pss(hashes.SHA256(), padding.PSS.MAX_LENGTH), hashes.SHA256()))
        return made[-1]

    key: Any = make(raw.public_key(), "RSA_2048", longest, name="k")
    refused(
        CapabilityUnsupported,
        lambda: key.sign(MESSAGE, pss(hashes.SHA256()), hashes.SHA256()),
        "(?m)^sign key 'k': the backend does not sign with PSS and a salt as long as the digest$",
    )
    raw.public_key().verify(made[0], MESSAGE, pss(hashes.SHA256(), padding.PSS.AUTO), hashes.SHA256())


def test_refused_schemes_are_recorded(shared: Keyclave, private_key: PrivateKeys) -> None:
    key = private_key("RSA_2048")
    before = list(shared.audit.records())
    with pytest.raises(InvalidArgument):
        key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1())
    (record,) = list(shared.audit.records())[len(before) :]
    assert (record.operation_type, record.status) == ("SIGN", "FAILED")
    assert "RSA_PKCS1_SHA1" in str(record.error_message)
    assert MESSAGE.decode() not in str(record)
