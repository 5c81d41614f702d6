"""Ciphertexts give back what went in, to the right key and associated data alone, and give nothing away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hypothesis import strategies as st
from keyclave.errors import CapabilityUnsupported, DecryptionFailed, InvalidArgument
from keyclave.plugin import AlgorithmSupport, KeyLabel

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.examples import LENGTHS, TRICKY_MESSAGES, messages
from keyclave_contract_tests.keystreams import share_a_keystream
from keyclave_contract_tests.one_error import OneError
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.violations import Unsupported, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level

_BOTH = ("encrypt", "decrypt")
_PLAINTEXT = b"a plaintext of 32 bytes, exactly"
_AAD = b"associated data"
_LONG_AAD = bytes(1024)
"""Longer than what can be counted in a byte."""
_SWEPT = 20_000
_PLACES = 48
_WITHOUT_LIMIT = 2**20


@check(41, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=80, needs=_BOTH)
def plaintext_comes_back(bench: Bench, target: Target) -> None:
    """Decrypting gives exactly what was encrypted, whatever its length, its content and its associated data."""
    key, support = bench.key(target.name), _support(target)

    def body(plaintext: bytes, aad: bytes) -> None:
        ciphertext = bench.subject.encrypt(key.reference, plaintext, aad)
        back = bench.subject.decrypt(key.reference, ciphertext, aad)
        expect(len(back) == len(plaintext), f"{len(plaintext)} bytes were encrypted, and {len(back)} came back")
        expect(back == plaintext, "what was encrypted came back changed")

    aad = _AAD if support.binds_aad else b""
    texts = [*TRICKY_MESSAGES, *(bytes(length) for length in _lengths(bench, support) if length)]
    drawn = st.binary(max_size=100) if support.binds_aad else st.just(b"")
    bench.each(body, messages.filter(bool), drawn, explicit=[(text, aad) for text in texts])
    if support.min_plaintext:
        what = "encrypting less than the shortest plaintext"
        refused(InvalidArgument, what, lambda: body(bytes(support.min_plaintext - 1), aad))
        return
    try:
        body(b"", aad)
    except InvalidArgument:
        bench.observe(f"{target.name} refuses to encrypt nothing.")


@check(42, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=26, needs=_BOTH, security=True)
def associated_data_is_bound(bench: Bench, target: Target) -> None:
    """A ciphertext decrypts with exactly its associated data; where that cannot be bound, it is refused."""
    key = bench.key(target.name)
    encrypt, decrypt = _calls(bench, key)
    if not _support(target).binds_aad:
        what = "encrypting with associated data that the backend does not bind"
        refused((CapabilityUnsupported, InvalidArgument), what, lambda: encrypt(_PLAINTEXT, _AAD))
        return
    for bound in (_AAD, b"", _LONG_AAD):
        ciphertext = encrypt(_PLAINTEXT, bound)
        for other in _others(bound):
            bench.example = f"{bound!r} and {other!r}"
            what = "decrypting with other associated data"
            refused(DecryptionFailed, what, partial(decrypt, ciphertext, other))
    bench.example = None


@check(
    43, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=20, needs=_BOTH, optional=("encrypt",),
    security=True,
)  # fmt: skip
def associated_data_ends_where_it_ends(bench: Bench, target: Target) -> None:
    """Bytes cannot be moved between plaintext and associated data."""
    encrypt, decrypt = _calls(bench, bench.key(target.name))
    if not _support(target).binds_aad:
        raise Unsupported("encrypt", "the backend binds no associated data")

    def body(whole: bytes, here: int, there: int) -> None:
        here, there = here % len(whole), there % len(whole)
        if here == there:
            return
        ciphertext = encrypt(whole[here:], whole[:here])
        what = "decrypting with bytes of the plaintext as associated data, or the reverse,"
        refused(DecryptionFailed, what, lambda: decrypt(ciphertext, whole[:there]))

    places = st.integers(0, 63)
    examples = [(b"abc", 2, 1), (b"abc", 1, 2), (_PLAINTEXT, 16, 0), (_PLAINTEXT, 0, 16)]
    bench.each(body, st.binary(min_size=2, max_size=64), places, places, explicit=examples)


@check(44, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=50, needs=_BOTH, security=True)
def changed_ciphertext_is_refused(bench: Bench, target: Target) -> None:
    """A ciphertext in which any bit was changed is refused, with one error wherever the bit was."""
    encrypt, decrypt = _calls(bench, bench.key(target.name))
    ciphertext = encrypt(_PLAINTEXT, b"")
    error = OneError(DecryptionFailed)
    for byte, bit in _bits(bench, len(ciphertext)):
        bench.example = f"bit {bit} of byte {byte} of {len(ciphertext)}"
        changed = bytearray(ciphertext)
        changed[byte] ^= 1 << bit
        error.expect("decrypting a ciphertext with a changed bit", partial(decrypt, bytes(changed), b""))
    bench.example = None


@check(45, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=16, needs=_BOTH, security=True)
def cut_ciphertext_is_refused(bench: Bench, target: Target) -> None:
    """A ciphertext that was cut or extended at either end is refused, with the error of a changed one."""
    encrypt, decrypt = _calls(bench, bench.key(target.name))
    ciphertext = encrypt(_PLAINTEXT, b"")
    error = OneError(DecryptionFailed)
    error.expect("decrypting a changed ciphertext", lambda: decrypt(_changed(ciphertext), b""))
    for length in (0, 1, 12, 16, 28, len(_PLAINTEXT), len(ciphertext) - 16, len(ciphertext) - 1):
        what = "decrypting the beginning of a ciphertext"
        error.expect(what, partial(decrypt, ciphertext[:length], b""))
    error.expect("decrypting the end of a ciphertext", lambda: decrypt(ciphertext[1:], b""))
    for extra in (b"\x00", bytes(16), ciphertext):
        error.expect("decrypting a ciphertext with bytes after it", partial(decrypt, ciphertext + extra, b""))
        error.expect("decrypting a ciphertext with bytes before it", partial(decrypt, extra + ciphertext, b""))


@check(46, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=30, needs=("encrypt",), security=True)
def equal_plaintexts_look_different(bench: Bench, target: Target) -> None:
    """Encrypting one plaintext many times never gives one ciphertext twice."""
    encrypt, _ = _calls(bench, bench.key(target.name))
    made = [encrypt(_PLAINTEXT, b"") for _ in range(max(2, bench.budget.repeats // 4))]
    expect(len(set(made)) == len(made), "one plaintext was encrypted to the same ciphertext twice")


@check(47, group=Group.ENCRYPT, level=Level.DURABLE, per=Per.ENCRYPTING, calls=10, needs=("encrypt", "find_key"))
def nonces_differ_after_opening_again(bench: Bench, target: Target) -> None:
    """Handles and processes that are opened one after the other, or at once, never use one nonce twice."""
    key = bench.key(target.name)
    made = _encrypt_there(bench.subject, key.reference.label, 0)
    for number in (1, 2):
        with bench.another() as other:
            made += _encrypt_there(other, key.reference.label, number)
    with bench.child(_encrypt_there, key.reference.label, 3) as child:
        child.go()
        answer = child.result()
    if isinstance(answer, Exception):
        raise answer
    made += answer
    expect(not share_a_keystream(made), "two handles or processes encrypted with one nonce: keystreams are equal")


@check(48, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=16, needs=("encrypt",), security=True)
def keystream_is_used_once(bench: Bench, target: Target) -> None:
    """The exclusive or of two ciphertexts is never that of their plaintexts."""
    encrypt, _ = _calls(bench, bench.key(target.name))
    texts = [bytes([number]) * len(_PLAINTEXT) for number in range(16)]
    pairs = [(text, encrypt(text, b"")) for text in texts]
    expect(not any(text in ciphertext for text, ciphertext in pairs), "a plaintext stands in its ciphertext")
    expect(not share_a_keystream(pairs), "two plaintexts were encrypted with one keystream")


@check(49, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=6, keys=1, needs=_BOTH, security=True)
def ciphertext_of_another_key_is_refused(bench: Bench, target: Target) -> None:
    """A ciphertext decrypts under its key alone, and another key refuses it with the error of a changed one."""
    encrypt, decrypt = _calls(bench, bench.key(target.name))
    theirs, _ = _calls(bench, bench.key(target.name, 1))
    error = OneError(DecryptionFailed)
    changed = _changed(encrypt(_PLAINTEXT, b""))
    error.expect("decrypting a changed ciphertext", lambda: decrypt(changed, b""))
    foreign = theirs(_PLAINTEXT, b"")
    error.expect("decrypting a ciphertext of another key", lambda: decrypt(foreign, b""))


@check(50, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=22, needs=_BOTH, security=True)
def unknown_format_is_refused(bench: Bench, target: Target) -> None:
    """What no encryption made, in whatever format, is refused with the error of a changed ciphertext."""
    encrypt, decrypt = _calls(bench, bench.key(target.name))
    ciphertext = encrypt(_PLAINTEXT, b"")
    error = OneError(DecryptionFailed)
    error.expect("decrypting a changed ciphertext", lambda: decrypt(_changed(ciphertext), b""))

    def body(content: bytes) -> None:
        error.expect("decrypting what is no ciphertext", lambda: decrypt(content, b""))

    bench.each(body, st.binary(max_size=200), explicit=[(bytes(60),), (b"\xff" * 60,), (b"{}",), (b"vault:v1:AAAA",)])
    for first in (0, 1, 2, 3, 127, 128, 254, 255):
        if first != ciphertext[0]:
            other = bytes([first]) + ciphertext[1:]
            error.expect("decrypting a ciphertext with another first byte", partial(decrypt, other, b""))


@check(54, group=Group.ENCRYPT, level=Level.ENCRYPT, per=Per.ENCRYPTING, calls=3, needs=_BOTH)
def oversize_plaintext_is_refused(bench: Bench, target: Target) -> None:
    """A plaintext that is longer than the limit that the backend names is refused, not cut."""
    encrypt, decrypt = _calls(bench, bench.key(target.name))
    longest = _support(target).max_plaintext
    if longest is None:
        plaintext = bytes(_WITHOUT_LIMIT)
        expect(decrypt(encrypt(plaintext, b""), b"") == plaintext, "a plaintext of 1 MiB came back changed")
        return
    for length in (longest + 1, 2 * longest + 1):
        what = "encrypting more than the longest plaintext"
        refused(InvalidArgument, what, partial(encrypt, bytes(length), b""))


def _support(target: Target) -> AlgorithmSupport:
    if target.algorithm is None:
        raise LookupError("the check is for the backend as a whole")
    return target.algorithm


def _calls(bench: Bench, key: Key) -> tuple[Callable[[bytes, bytes], bytes], Callable[[bytes, bytes], bytes]]:
    """Return functions that encrypt and decrypt with a key: text and associated data in, text out."""
    return partial(bench.subject.encrypt, key.reference), partial(bench.subject.decrypt, key.reference)


def _lengths(bench: Bench, support: AlgorithmSupport) -> list[int]:
    """Return the lengths to encrypt; state which were left out."""
    longest = _WITHOUT_LIMIT if support.max_plaintext is None else support.max_plaintext
    lengths = [*(length for length in LENGTHS if length < longest), longest]
    end = min(_SWEPT, longest)
    if bench.budget.name == "deep":
        bench.bound(f"{support.algorithm} encrypted every length up to {end:,} bytes, and few that are longer.")
        return [*lengths, *range(end)]
    bench.bound(
        f"{support.algorithm} encrypted {len(lengths)} lengths up to {longest:,} bytes; that it encrypts every other"
        f" length was not checked (the deep budget checks each one up to {end:,})."
    )
    return lengths


def _others(aad: bytes) -> Iterator[bytes]:
    for other in (b"", aad + b"\x00", aad + b" ", b" " + aad, aad + b"\n", aad.upper(), aad[:-1], aad * 2):
        if other != aad:
            yield other


def _bits(bench: Bench, length: int) -> Iterator[tuple[int, int]]:
    """Return bits to change: all where the budget is deep, else one of each byte, or of bytes spread evenly."""
    if bench.budget.name == "deep":
        yield from ((byte, bit) for byte in range(length) for bit in range(8))
        return
    places = range(length) if length <= 2 * _PLACES else (n * length // _PLACES for n in range(_PLACES))
    yield from ((byte, bench.random.randrange(8)) for byte in places)


def _changed(ciphertext: bytes) -> bytes:
    return ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])


def _encrypt_there(subject: Subject, label: KeyLabel, number: int) -> list[tuple[bytes, bytes]]:
    """Return pairs of plaintext and ciphertext, made with a key that is found by its label."""
    reference = subject.find_key(label)
    texts = [bytes([number, place]) * (len(_PLAINTEXT) // 2) for place in range(2)]
    return [(text, subject.encrypt(reference, text)) for text in texts]
