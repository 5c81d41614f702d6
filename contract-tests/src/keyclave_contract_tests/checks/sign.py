"""Signatures are what the oracle says they must be: over every message, every time, in the declared form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count, cycle, islice

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.models import ALGORITHMS, SIGNATURE_SCHEMES, AlgorithmFamily, get_algorithm
from keyclave.plugin import SchemeSupport, SignatureEncoding, SigningInput

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.evidence import largest_rate
from keyclave_contract_tests.examples import LENGTHS, TRICKY_MESSAGES, messages
from keyclave_contract_tests.importing import imported
from keyclave_contract_tests.originals import original
from keyclave_contract_tests.violations import Unsupported, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level

_RSA = ("RSA_2048", "RSA_3072", "RSA_4096")
_EC = ("ECDSA_P256", "ECDSA_P384")
_SWEPT = 20_000
_SIGNATURE_SIZES = {"ED25519": 64, "ML_DSA_65": 3309}
_MESSAGE = b"a message to be signed"


@check(21, group=Group.SIGN, level=Level.SIGN, per=Per.SCHEME, calls=8, needs=("sign",))
def signature_is_right(bench: Bench, target: Target) -> None:
    """Whatever the message, `cryptography` verifies the signature under the key's public key."""
    key, scheme = bench.key(target.name), target.signs_with
    bench.each(
        lambda message: bench.signs(key, message, scheme),
        messages.filter(lambda message: len(message) >= scheme.min_input),
        explicit=[(message,) for message in (b"", _MESSAGE, bytes(64)) if len(message) >= scheme.min_input],
    )


@check(23, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, calls=18, needs=("sign",))
def length_of_the_message_does_not_matter(bench: Bench, target: Target) -> None:
    """Messages of every length are signed, from the shortest that the backend names up to the longest."""
    key = bench.key(target.name)
    for scheme in _one_for_each_input(target):
        longest = None if scheme.input is SigningInput.DIGEST else scheme.max_input
        lengths = [n for n in LENGTHS if n >= scheme.min_input and (longest is None or n <= longest)]
        if longest is not None:
            lengths.append(longest)
        if scheme.input is SigningInput.MESSAGE:
            lengths += _swept(bench, target.name, scheme)
        for length in lengths:
            bench.example = f"{length} bytes"
            bench.signs(key, (b"0123456789abcdef" * (length // 16 + 1))[:length], scheme)
    bench.example = None


@check(24, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, calls=13, needs=("sign",))
def content_of_the_message_does_not_matter(bench: Bench, target: Target) -> None:
    """Every byte is signed as it is: zeros, ends of lines, byte order marks and the like, at both ends."""
    key = bench.key(target.name)
    for scheme in _one_for_each_input(target):
        for text in TRICKY_MESSAGES:
            bench.example = repr(text)
            for data in _as_data(text, scheme):
                signature = oracle.in_public_form(bench.subject.sign(key.reference, data, scheme.scheme), scheme)
                prehashed = scheme.input is SigningInput.DIGEST
                right = oracle.is_valid(key.spki, scheme.scheme, data, signature, prehashed=prehashed)
                expect(right, f"the signature over {scheme.input.value}s with special bytes does not verify")
    bench.example = None


@check(26, group=Group.SIGN, level=Level.SIGN, calls=120, needs=("sign",), optional=("sign",))
def every_signature_is_right(bench: Bench, target: Target) -> None:
    """Of many signatures, made with keys of all algorithms in turn, not one is wrong."""
    signing = [support for support in bench.subject.description.algorithms if support.schemes]
    if not signing:
        raise Unsupported("sign", "the backend describes no algorithm that signs")
    total = bench.budget.repeats
    for number, support in enumerate(islice(cycle(signing), total)):
        scheme = support.schemes[number // len(signing) % len(support.schemes)]
        bench.example = f"signature {number + 1} of {total}, {support.algorithm}, {scheme.scheme}"
        bench.signs(bench.key(support.algorithm), f"message {number}".encode(), scheme)
    bench.example = None
    bench.bound(
        f"At most {largest_rate(total):.3%} of signatures can be wrong (95 %): {total:,} were made with"
        f" {len(signing)} algorithms in turn, and all were right."
    )


@check(33, group=Group.SIGN, level=Level.SIGN, per=Per.SCHEME, calls=3, needs=("sign",))
def encoding_is_the_declared_one(bench: Bench, target: Target) -> None:
    """Signatures have exactly the encoding and the length that the backend declares for the scheme."""
    key, scheme = bench.key(target.name), target.signs_with
    for number in range(3):
        data = oracle.as_input(f"message {number}".encode(), scheme)
        native = bench.subject.sign(key.reference, data, scheme.scheme)
        declared = scheme.encoding
        if declared is SignatureEncoding.DER:
            expect(_is_der(native), "a signature that is declared as DER is none")
        elif declared is SignatureEncoding.P1363:
            size = 2 * get_algorithm(target.name).key_size // 8
            expect(len(native) == size, f"a signature that is declared as P1363 has {len(native)} bytes, not {size}")
        else:
            size = _SIGNATURE_SIZES.get(target.name) or get_algorithm(target.name).key_size // 8
            expect(len(native) == size, f"a raw signature has {len(native)} bytes, not {size}")


@check(
    34, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, only=_RSA, calls=6, needs=("sign",), optional=("sign",)
)
def pss_salt_is_random_and_long(bench: Bench, target: Target) -> None:
    """The salt of a PSS signature is as long as the digest, and another one each time."""
    key = bench.key(target.name)
    schemes = [scheme for scheme in _schemes(target) if scheme.scheme.startswith("RSA_PSS")]
    if not schemes:
        raise Unsupported("sign", f"the backend describes no PSS for {target.name}")
    for scheme in schemes:
        first, second = (bench.sign(key, _MESSAGE, scheme) for _ in range(2))
        function = oracle.hash_of(scheme.scheme)
        due = function.digest_size if function else 0
        for signature in (first, second):
            length = oracle.salt_length(key.spki, scheme.scheme, _MESSAGE, signature)
            expect(length is not None, "the signature is right with no length of the salt")
            expect(length == due, f"the salt has {length} bytes, not {due}")
        expect(first != second, "two PSS signatures over one message are equal, so their salt is the same")


@check(
    35, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, only=(*_RSA, "ED25519"), calls=8, keys=1,
    needs=("sign",), optional=("sign",),
)  # fmt: skip
def deterministic_signature_is_the_only_one(bench: Bench, target: Target) -> None:
    """PKCS #1 v1.5 and Ed25519 give one signature for a message, byte by byte that of `cryptography`."""
    schemes = [scheme for scheme in _schemes(target) if scheme.scheme.startswith(("RSA_PKCS1", "ED25519"))]
    if not schemes:
        raise Unsupported("sign", f"the backend describes no deterministic scheme for {target.name}")
    key = bench.key(target.name)
    for scheme in schemes:
        first, second = (bench.sign(key, _MESSAGE, scheme) for _ in range(2))
        expect(first == second, "two signatures over one message differ, where the scheme has only one")
    try:
        known = imported(bench, target.name)
    except Unsupported:
        bench.bound(f"Whether {target.name} signatures that begin with a zero byte are right was left to chance.")
        return
    scheme = schemes[0]
    for message, due in _signed_by_the_original(target.name, scheme):
        signature = bench.sign(known, message, scheme)
        expect(
            signature == due,
            f"a signature has {len(signature)} bytes and is not the one that `cryptography` makes, which has"
            f" {len(due)}" + (" and begins with a zero byte" if due[0] == 0 else ""),
        )


@check(38, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, calls=9, needs=("sign",))
def foreign_scheme_is_refused(bench: Bench, target: Target) -> None:
    """A key signs with no scheme that is not described for it, whatever the data looks like."""
    key = bench.key(target.name)
    described = {scheme.scheme for scheme in _schemes(target)}
    for name in (*sorted(set(SIGNATURE_SCHEMES) - described), "", "NONE", "RSA_PKCS1_MD5"):
        bench.example = repr(name)
        size = SIGNATURE_SCHEMES[name].digest_size if name in SIGNATURE_SCHEMES else 32
        refused(
            (CapabilityUnsupported, InvalidArgument),
            "signing with a scheme that is not described for the key",
            partial(bench.subject.sign, key.reference, bytes(size or 32), name),
        )
    bench.example = None


@check(39, group=Group.SIGN, level=Level.SIGN, per=Per.SIGNING, calls=3, needs=("public_key",))
def public_key_is_of_the_algorithm(bench: Bench, target: Target) -> None:
    """The public key is a good one of the algorithm that was asked for, and the same each time."""
    key = bench.key(target.name)
    other = bench.key(bench.cheapest(signs=True) or target.name, 1)
    for each in (key, other, key):
        expect(
            bench.subject.public_key(each.reference) == each.spki, "the public key is not that of the key any more"
        )
    public = oracle.load(key.spki)
    due = ALGORITHMS[target.name]
    if due.family is AlgorithmFamily.RSA:
        exponent = public.public_numbers().e
        expect(public.key_size == due.key_size, f"the RSA key has {public.key_size} bits, not {due.key_size}")
        expect(exponent % 2 and exponent > 2**16, f"the RSA key has the public exponent {exponent}")
    elif due.family is AlgorithmFamily.EC:
        curve = f"secp{due.key_size}r1"
        expect(public.curve.name == curve, f"the key is on the curve {public.curve.name}, not {curve}")
    else:
        kind = type(public).__name__.upper().replace("_", "")
        expect(due.name.replace("_", "") in kind, f"the public key is of type {type(public).__name__}")


def _schemes(target: Target) -> tuple[SchemeSupport, ...]:
    return target.algorithm.schemes if target.algorithm else ()


def _one_for_each_input(target: Target) -> tuple[SchemeSupport, ...]:
    """Return the first scheme that takes messages, and the first that takes digests, as far as there are such."""
    return tuple({scheme.input: scheme for scheme in reversed(_schemes(target))}.values())


def _swept(bench: Bench, algorithm: str, scheme: SchemeSupport) -> range:
    """Return every length up to a limit where the budget is deep; state where it ends, or that none was swept."""
    end = _SWEPT if scheme.max_input is None else min(_SWEPT, scheme.max_input)
    if bench.budget.name != "deep":
        bench.bound(
            f"{algorithm} signed messages of {len(LENGTHS)} lengths up to {LENGTHS[-1]:,} bytes; that it signs every"
            " other length was not checked (the deep budget checks each one up to"
            f" {end:,})."
        )
        return range(0)
    bench.bound(f"{algorithm} signed messages of every length up to {end:,} bytes, and of few that are longer.")
    return range(scheme.min_input, end + 1)


def _as_data(text: bytes, scheme: SchemeSupport) -> Iterator[bytes]:
    """Return a text as a message, or digests that begin and end with it."""
    if scheme.input is SigningInput.MESSAGE:
        yield text
        return
    size = SIGNATURE_SCHEMES[scheme.scheme].digest_size
    yield text.rjust(size, b"x")
    if text.startswith(b"\x00"):  # where a digest that is taken for a number loses its first bytes
        yield text.ljust(size, b"x")


def _is_der(signature: bytes) -> bool:
    try:
        return encode_dss_signature(*decode_dss_signature(signature)) == signature
    except ValueError:
        return False


def _signed_by_the_original(algorithm: str, scheme: SchemeSupport) -> Iterator[tuple[bytes, bytes]]:
    """Return messages with their signatures; where RSA signs, the last of them begins with a zero byte."""
    private, arguments = original(algorithm), oracle.verification_arguments(scheme.scheme)
    signed = ((message, private.sign(message, *arguments)) for message in (b"%d" % n for n in count()))
    yield from islice(signed, 2)
    if algorithm in _RSA:
        yield next((message, signature) for message, signature in signed if signature[0] == 0)
