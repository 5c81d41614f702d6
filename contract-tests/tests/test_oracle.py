"""The oracle measures the salt of a PSS signature."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from keyclave_contract_tests import oracle
from keyclave_contract_tests.originals import original, spki_of

KEY = original("RSA_2048")


@pytest.mark.parametrize("length", [0, 20, 32, 222])
def test_the_length_of_the_salt_is_found(length: int) -> None:
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=length)
    signature = KEY.sign(b"message", pss, hashes.SHA256())
    assert oracle.salt_length(spki_of(KEY), "RSA_PSS_SHA256", b"message", signature) == length


def test_a_signature_with_another_padding_has_none() -> None:
    signature = KEY.sign(b"message", padding.PKCS1v15(), hashes.SHA256())
    assert oracle.salt_length(spki_of(KEY), "RSA_PSS_SHA256", b"message", signature) is None


def test_a_digest_stands_for_its_message() -> None:
    signature = KEY.sign(b"message", padding.PKCS1v15(), hashes.SHA256())
    digest = oracle.digest(b"message", "RSA_PKCS1_SHA256")
    assert oracle.is_valid(spki_of(KEY), "RSA_PKCS1_SHA256", digest, signature, prehashed=True)
    assert not oracle.is_valid(spki_of(KEY), "RSA_PKCS1_SHA256", digest, signature)


def test_a_signature_without_its_leading_zero_is_none() -> None:
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = next(s for _ in range(100_000) if (s := KEY.sign(b"message", pss, hashes.SHA256()))[0] == 0)
    assert oracle.is_valid(spki_of(KEY), "RSA_PSS_SHA256", b"message", signature)
    assert not oracle.is_valid(spki_of(KEY), "RSA_PSS_SHA256", b"message", signature[1:])
