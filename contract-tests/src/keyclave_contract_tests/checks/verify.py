"""Keyclave's verifier accepts what the backend signed, and nothing else, for every scheme that the backend offers."""

from __future__ import annotations

from functools import partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import strategies as st
from keyclave.errors import InvalidArgument
from keyclave.models import get_algorithm

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.malformed import malformed
from keyclave_contract_tests.originals import original, spki_of
from keyclave_contract_tests.verifying import Data, accepted, rejected, verifier
from keyclave_contract_tests.violations import Unsupported, expect, refused, type_name
from keyclave_contract_tests.vocabulary import Group, Level

_MESSAGE = b"a message whose signature is looked at"
_A_RIGHT_ONE = "a right signature"
_HASHING = ("RSA_2048", "RSA_3072", "RSA_4096", "ECDSA_P256", "ECDSA_P384")


@check(25, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, calls=1, needs=("sign",))
def verifier_takes_bytes_of_any_kind(bench: Bench, target: Target) -> None:
    """Bytes, bytearray and memoryview are verified alike, and text is refused with ``InvalidArgument``."""
    key, scheme = bench.key(target.name), bench.scheme(target.name)
    signature = bench.sign(key, _MESSAGE, scheme)
    verify = verifier(bench, key.spki, scheme.scheme)
    kinds: tuple[type[Data], ...] = (bytes, bytearray, memoryview)
    for kind in kinds:
        accepted(verify, kind(_MESSAGE), kind(signature), f"{_A_RIGHT_ONE} as {kind.__name__}")
        rejected(verify, kind(_MESSAGE + b"."), kind(signature), f"a signature of another message as {kind.__name__}")
    text = _MESSAGE.decode()
    refused(InvalidArgument, "verifying text", lambda: verify(text, signature))
    refused(InvalidArgument, "a signature as text", lambda: verify(_MESSAGE, signature.hex()))


@check(27, group=Group.SIGN, level=Level.SIGN, per=Per.SCHEME, calls=1, needs=("sign",), security=True)
def changed_signature_is_refused(bench: Bench, target: Target) -> None:
    """A signature in which any bit was changed is refused."""
    key, scheme = bench.key(target.name), target.signs_with
    signature = bench.sign(key, _MESSAGE, scheme)
    verify = verifier(bench, key.spki, scheme.scheme)
    accepted(verify, _MESSAGE, signature, _A_RIGHT_ONE)

    def body(place: int) -> None:
        bit = place % (8 * len(signature))
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        rejected(verify, _MESSAGE, bytes(changed), "a signature with a changed bit")

    bench.each(body, st.integers(0, 2**16), explicit=[(0,), (7,), (20,), (-1,), (-8,)])


@check(28, group=Group.SIGN, level=Level.SIGN, per=Per.SCHEME, calls=1, needs=("sign",), security=True)
def changed_message_is_refused(bench: Bench, target: Target) -> None:
    """A signature is refused for a message that was changed, cut, extended or emptied."""
    key, scheme = bench.key(target.name), target.signs_with
    signature = bench.sign(key, _MESSAGE, scheme)
    verify = verifier(bench, key.spki, scheme.scheme)
    accepted(verify, _MESSAGE, signature, _A_RIGHT_ONE)
    others = (
        *(b"", b"\x00", _MESSAGE[:-1], _MESSAGE[1:], _MESSAGE + b"\x00", _MESSAGE + b" ", b" " + _MESSAGE),
        *(_MESSAGE.upper(), _MESSAGE * 2, oracle.digest(_MESSAGE, scheme.scheme)),
    )
    bench.each(
        lambda message: rejected(verify, message, signature, "a signature of another message"),
        st.binary(max_size=300).map(lambda message: message + b"another"),
        explicit=[(message,) for message in others],
    )


@check(29, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, calls=3, keys=1, needs=("sign",), security=True)
def signature_of_another_key_is_refused(bench: Bench, target: Target) -> None:
    """A signature verifies under the public key of its key alone, and not under that of another."""
    mine, other, scheme = bench.key(target.name), bench.key(target.name, 1), bench.scheme(target.name)
    expect(mine.spki != other.spki, "two keys have one public key")
    signature = bench.sign(mine, _MESSAGE, scheme)
    accepted(verifier(bench, mine.spki, scheme.scheme), _MESSAGE, signature, _A_RIGHT_ONE)
    for spki in (other.spki, spki_of(original(target.name))):
        rejected(verifier(bench, spki, scheme.scheme), _MESSAGE, signature, "a signature of another key")
    theirs = bench.sign(other, _MESSAGE, scheme)
    rejected(verifier(bench, mine.spki, scheme.scheme), _MESSAGE, theirs, "a signature of another key")


@check(30, group=Group.SIGN, level=Level.SIGN, per=Per.SCHEME, calls=2, needs=("sign",), security=True)
def malformed_signature_is_refused(bench: Bench, target: Target) -> None:
    """What is no signature at all is refused as a wrong one: cut, extended, encoded otherwise, out of range."""
    key, scheme = bench.key(target.name), target.signs_with
    verify = verifier(bench, key.spki, scheme.scheme)
    for message in (_MESSAGE, _MESSAGE[: scheme.min_input]):
        signature = bench.sign(key, message, scheme)
        accepted(verify, message, signature, _A_RIGHT_ONE)
        for what, wrong in malformed(signature, key.spki, scheme.scheme):
            rejected(verify, message, wrong, what)


@check(31, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, calls=1, needs=("sign",), security=True)
def verdict_cannot_be_misread(bench: Bench, target: Target) -> None:
    """A verifier returns nothing for a right signature and raises for a wrong one: no value can be misread."""
    key, scheme = bench.key(target.name), bench.scheme(target.name)
    signature = bench.sign(key, _MESSAGE, scheme)
    verify = verifier(bench, key.spki, scheme.scheme)
    for data, what in ((b"another message", "wrong"), (_MESSAGE, "right")):
        try:
            verdict = verify(data, signature)
        except Exception as error:
            expect(what == "wrong", f"the verifier raised {type_name(error)} for a right signature")
        else:
            expect(what == "right", f"the verifier returned {verdict!r} for a wrong signature instead of raising")
            expect(verdict is None, f"the verifier returned {verdict!r} for a right signature instead of nothing")


@check(32, group=Group.SIGN, level=Level.SIGN, per=Per.SCHEME, calls=1, needs=("sign",), security=True)
def signature_of_another_scheme_is_refused(bench: Bench, target: Target) -> None:
    """A signature made with one hash, padding or mask function is refused under every other."""
    key, scheme = bench.key(target.name), target.signs_with
    signature = bench.sign(key, _MESSAGE, scheme)
    accepted(verifier(bench, key.spki, scheme.scheme), _MESSAGE, signature, _A_RIGHT_ONE)
    for other in get_algorithm(target.name).schemes:
        if other != scheme.scheme:
            rejected(
                verifier(bench, key.spki, other), _MESSAGE, signature, f"a signature of {scheme.scheme} as {other}"
            )
    if scheme.scheme.startswith("RSA_PSS"):
        private = original(target.name)
        foreign = private.sign(_MESSAGE, *_with_another_mask(scheme.scheme))
        verify = verifier(bench, spki_of(private), scheme.scheme)
        rejected(verify, _MESSAGE, foreign, "a PSS signature whose mask is made with SHA-1")


@check(37, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, only=_HASHING, calls=6, needs=("sign",))
def digest_stands_for_its_message(bench: Bench, target: Target) -> None:
    """A signature is right for a message and for its digest alike; a digest of another length is refused."""
    key = bench.key(target.name)
    for scheme in target.algorithm.schemes if target.algorithm else ():
        signature = bench.sign(key, _MESSAGE, scheme)
        digest = oracle.digest(_MESSAGE, scheme.scheme)
        of_digests = verifier(bench, key.spki, scheme.scheme, prehashed=True)
        accepted(of_digests, digest, signature, f"{_A_RIGHT_ONE}, given the digest")
        rejected(of_digests, digest[::-1], signature, "a signature of another digest")
        of_messages = verifier(bench, key.spki, scheme.scheme)
        rejected(of_messages, digest, signature, "a signature of a message as one of its digest")
        for wrong in (b"", digest[:-1], digest + b"\x00", digest * 2):
            what = f"verifying {len(wrong)} bytes as a digest"
            refused(InvalidArgument, what, partial(of_digests, wrong, signature))


@check(
    40,
    group=Group.SIGN,
    level=Level.SIGN,
    calls=3,
    keys=1,
    needs=("sign", "destroy_key"),
    optional=("sign",),
    security=True,
)
def verifier_needs_the_public_key_alone(bench: Bench, target: Target) -> None:
    """Signatures stay verifiable when their key is gone, without a call, and each one is judged by itself."""
    algorithm = bench.cheapest(signs=True)
    if algorithm is None:
        raise Unsupported("sign", "the backend describes no algorithm that signs")
    key, scheme = bench.make(algorithm), bench.scheme(algorithm)
    signature = bench.sign(key, _MESSAGE, scheme)
    other = bench.sign(key, b"another message", scheme)
    verify = verifier(bench, key.spki, scheme.scheme)
    bench.destroy(key)
    with bench.meter.reading() as reading:
        for _ in range(3):
            accepted(verify, _MESSAGE, signature, f"{_A_RIGHT_ONE} of a destroyed key")
            rejected(verify, _MESSAGE, other, "a wrong signature after a right one")
    expect(not reading.calls.total(), "verifying made calls to the backend")


def _with_another_mask(scheme: str) -> tuple[padding.PSS, hashes.HashAlgorithm]:
    _, function = oracle.verification_arguments(scheme)
    return padding.PSS(mgf=padding.MGF1(hashes.SHA1()), salt_length=function.digest_size), function  # noqa: S303
