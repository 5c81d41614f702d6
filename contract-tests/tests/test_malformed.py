"""Malformed signatures are all refused by `cryptography`, differ from the right one, and say what they are."""

from __future__ import annotations

import pytest
from keyclave_contract_tests import oracle
from keyclave_contract_tests.malformed import malformed
from keyclave_contract_tests.originals import original, spki_of

SCHEMES = {
    "ECDSA_P256": "ECDSA_SHA256",
    "ECDSA_P384": "ECDSA_SHA384",
    "ED25519": "ED25519",
    "RSA_2048": "RSA_PKCS1_SHA256",
}


@pytest.mark.parametrize(("algorithm", "scheme"), SCHEMES.items())
def test_none_of_them_is_right(algorithm: str, scheme: str) -> None:
    private = original(algorithm)
    spki = spki_of(private)
    signature = private.sign(b"message", *oracle.verification_arguments(scheme))
    assert oracle.is_valid(spki, scheme, b"message", signature)
    wrong = dict(malformed(signature, spki, scheme))
    assert len(wrong) >= 12
    assert signature not in wrong.values()
    assert [what for what, other in wrong.items() if oracle.is_valid(spki, scheme, b"message", other)] == []
