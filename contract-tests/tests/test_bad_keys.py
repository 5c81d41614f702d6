"""Bad keys are bad in the one way that they name."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from keyclave.errors import InvalidArgument
from keyclave_contract_tests.bad_keys import bad_keys
from keyclave_contract_tests.originals import original, secret_of, spki_of
from keyclave_software.material import checked
from pydantic import SecretBytes

ALGORITHMS = ("RSA_2048", "ECDSA_P256", "ECDSA_P384", "ED25519", "AES_256")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_good_key_is_taken_and_every_bad_one_is_refused(algorithm: str) -> None:
    checked(SecretBytes(secret_of(algorithm)), algorithm)
    bad = list(bad_keys(algorithm))
    assert len({key.what for key in bad}) == len(bad) >= 6
    for key in bad:
        assert key.secret != secret_of(algorithm), key.what
        with pytest.raises(InvalidArgument):
            checked(SecretBytes(key.secret), algorithm)


@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "RSA_2048"])
def test_a_key_that_has_a_meaning_left_has_that_of_the_original(algorithm: str) -> None:
    meant = {key.meant for key in bad_keys(algorithm) if key.meant}
    assert meant == {spki_of(original(algorithm))}


def test_originals_are_made_once() -> None:
    assert original("ECDSA_P256") is original("ECDSA_P256", 0) is original("ECDSA_P256", number=0)
    assert original("ECDSA_P256") is not original("ECDSA_P256", 1)
    loaded = serialization.load_der_private_key(secret_of("ECDSA_P256"), None)
    assert spki_of(loaded) == spki_of(original("ECDSA_P256"))
    assert secret_of("AES_256") == secret_of("AES_256", 0) != secret_of("AES_256", 1)


def test_there_is_no_original_of_a_key_that_does_not_sign() -> None:
    with pytest.raises(LookupError, match="AES_256 do not sign"):
        original("AES_256")
