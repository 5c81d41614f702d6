"""Keyclave verifies and unwraps as the vectors say; a function that does not is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from keyclave.crypto.algorithms import PublicKey
from keyclave.crypto.verification import bind_verifier
from keyclave.crypto.wrapping import unwrap_key
from keyclave.errors import InvalidArgument, InvalidSignature
from keyclave_contract_tests.vector_runs import (
    KEY_WRAP_FILE,
    OAEP_FILES,
    SIGNATURE_FILES,
    run_key_wrap,
    run_oaep,
    run_signatures,
)
from keyclave_contract_tests.vectors import load, manifest
from keyclave_contract_tests.vectors.groups import SignatureVector, Verdict
from keyclave_contract_tests.vectors.verdicts import signature_verdict
from pydantic import SecretBytes

PSS_FILES = [name for name in SIGNATURE_FILES if name.startswith("rsa_pss")]
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
Verify = Callable[[bytes, bytes], None]


def _verdicts(name: str) -> list[Verdict]:
    return [vector.result for group in load(name).test_groups for vector in group.tests]


def _accept_all(public_key: PublicKey, scheme: str) -> Verify:
    return lambda data, signature: None


def _refuse_all(public_key: PublicKey, scheme: str) -> Verify:
    def verify(data: bytes, signature: bytes) -> None:
        raise InvalidSignature("no")

    return verify


def _break_down(public_key: PublicKey, scheme: str) -> Verify:
    def verify(data: bytes, signature: bytes) -> None:
        raise TypeError(signature)

    return verify


def _fixed_salt(public_key: PublicKey, scheme: str) -> Verify:
    """Verify as Keyclave does, but only with a salt of the digest's length."""
    assert isinstance(public_key, rsa.RSAPublicKey)
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[scheme[-3:]]
    pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=padding.PSS.DIGEST_LENGTH)
    usual = bind_verifier(public_key, scheme)

    def verify(data: bytes, signature: bytes) -> None:
        usual(data, signature)
        try:
            public_key.verify(signature, data, pss, digest)
        except Exception as error:
            raise InvalidSignature("another salt") from error

    return verify


def _tolerate_garbage(public_key: PublicKey, scheme: str) -> Verify:
    """Verify as Keyclave does, but cut off what follows the DER signature."""
    usual = bind_verifier(public_key, scheme)
    return lambda data, signature: usual(data, signature[: 2 + signature[1]] if len(signature) > 2 else signature)


@pytest.mark.parametrize("name", SIGNATURE_FILES)
def test_keyclave_verifies_as_the_vectors_say(name: str) -> None:
    run = run_signatures(name, bind_verifier)
    assert run.mismatches == ()
    assert run.ran == next(source.tests for source in manifest().files if source.name == name)


def test_the_salts_of_other_lengths_are_acceptable_and_keyclave_accepts_them() -> None:
    runs = [run_signatures(name, bind_verifier) for name in PSS_FILES]
    assert sum(run.acceptable for run in runs) == sum(run.accepted for run in runs) == 33


def test_a_verifier_that_insists_on_the_length_of_the_salt_is_right_too() -> None:
    runs = [run_signatures(name, _fixed_salt) for name in PSS_FILES]
    assert [run.mismatches for run in runs] == [()] * len(PSS_FILES)
    assert sum(run.accepted for run in runs) == 0


def test_only_vectors_that_change_the_length_of_the_salt_get_another_verdict() -> None:
    changed = {
        (vector.comment.rstrip("0123456789"), vector.flags, vector.result)
        for name in SIGNATURE_FILES
        for group in load(name).test_groups
        for vector in group.tests
        if isinstance(vector, SignatureVector) and signature_verdict(vector) is not vector.result
    }
    assert changed == {("s_len changed to ", ("ModifiedSignature",), Verdict.INVALID)}


@pytest.mark.parametrize("name", SIGNATURE_FILES)
def test_a_verifier_that_accepts_everything_is_found(name: str) -> None:
    run = run_signatures(name, _accept_all)
    assert {mismatch.found for mismatch in run.mismatches} == {"accepted"}
    wrong = _verdicts(name).count(Verdict.INVALID) - (run.acceptable if name in PSS_FILES else 0)
    if name.endswith("p1363"):
        assert 0 < len(run.mismatches) < wrong  # the others have no DER form, and so are refused before
    else:
        assert len(run.mismatches) == wrong


@pytest.mark.parametrize("name", SIGNATURE_FILES)
def test_a_verifier_that_refuses_everything_is_found(name: str) -> None:
    run = run_signatures(name, _refuse_all)
    assert len(run.mismatches) == _verdicts(name).count(Verdict.VALID)
    assert {(mismatch.expected, mismatch.found) for mismatch in run.mismatches} == {("accepted", "refused")}


def test_a_verifier_that_breaks_down_is_found_even_where_both_verdicts_are_right() -> None:
    run = run_signatures("rsa_signature_2048_sha256", _break_down)
    assert len(run.mismatches) == run.ran == 259
    assert {mismatch.expected for mismatch in run.mismatches} == {"accepted", "refused", "accepted or refused"}


def test_a_mismatch_names_the_vector() -> None:
    run = run_signatures("ecdsa_secp256r1_sha256", _tolerate_garbage)
    assert {(one.comment, one.flags, one.expected, one.found) for one in run.mismatches} == {
        ("appending unused 0's to sequence [r, s]", ("InvalidEncoding",), "refused", "accepted")
    }


def _talkative(blob: bytes, private_key: rsa.RSAPrivateKey, method: str) -> SecretBytes:
    """Unwrap, and tell what was wrong."""
    size = private_key.key_size // 8
    try:
        kek = private_key.decrypt(blob[:size], OAEP)
        return SecretBytes(keywrap.aes_key_unwrap_with_padding(kek, blob[size:]))
    except (ValueError, keywrap.InvalidUnwrap) as error:
        raise InvalidArgument(f"{type(error).__name__}: {error}") from None


def _careless(blob: bytes, private_key: rsa.RSAPrivateKey, method: str) -> SecretBytes:
    """Unwrap, and return whatever came out."""
    try:
        return unwrap_key(blob, private_key, method)
    except InvalidArgument:
        return SecretBytes(b"whatever came out")


def test_keyclave_unwraps_as_the_vectors_of_key_wrap_say() -> None:
    run = run_key_wrap(unwrap_key)
    assert (run.name, run.ran, run.mismatches) == (KEY_WRAP_FILE, 94, ())


@pytest.mark.parametrize("name", OAEP_FILES)
def test_keyclave_unwraps_as_the_vectors_of_oaep_say(name: str) -> None:
    run = run_oaep(name, unwrap_key)
    assert (run.ran, run.mismatches) == (37, ())


def test_an_unwrapping_that_ignores_the_integrity_check_is_found() -> None:
    run = run_key_wrap(_careless)
    assert {(mismatch.expected, mismatch.found) for mismatch in run.mismatches} == {
        ("refused", "returned another key")
    }


def test_an_unwrapping_that_tells_what_was_wrong_is_found() -> None:
    run = run_oaep(OAEP_FILES[0], _talkative)
    assert run.mismatches
    assert all(mismatch.found.startswith("refused in other words: ") for mismatch in run.mismatches)


def test_an_unwrapping_that_breaks_down_is_found() -> None:
    def unwrap(blob: bytes, private_key: rsa.RSAPrivateKey, method: str) -> SecretBytes:
        return SecretBytes(private_key.decrypt(blob, OAEP))

    run = run_oaep(OAEP_FILES[0], unwrap)
    assert {mismatch.found for mismatch in run.mismatches} == {"raised ValueError"}
    assert len(run.mismatches) == run.ran


@pytest.mark.parametrize(
    "call",
    [lambda: run_signatures("aes_kwp", bind_verifier), lambda: run_oaep("ed25519", unwrap_key)],
    ids=["signatures", "oaep"],
)
def test_vectors_of_another_kind_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgument, match="are of another kind"):
        call()
