"""A key leaves a backend only where that was asked for, whole, encrypted as the method says, to a strong key."""

from __future__ import annotations

from functools import partial

from cryptography.hazmat.primitives import serialization
from keyclave.crypto.padded_keys import without_padding
from keyclave.errors import CapabilityUnsupported, InvalidArgument
from keyclave.plugin import (
    RSA_AES_KEY_WRAP_SHA1,
    RSA_AES_KEY_WRAP_SHA256,
    AlgorithmSupport,
    Location,
    WrappedKey,
)
from pydantic import SecretBytes

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.importing import OAEP, importable, ticket_for, unwrapped
from keyclave_contract_tests.originals import original, spki_of
from keyclave_contract_tests.uses import works
from keyclave_contract_tests.violations import Unsupported, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.wrapping_keys import wrapping_key, wrapping_spki

_MESSAGE = b"what a key encrypted before it moved"
_FEWEST_BITS = 3072
_AES_BYTES = 32
_TOO_SHORT = 2048
_EXPORTABLE = ("create_key", "wrap_key", "begin_import")


@check(
    55, group=Group.WRAP, level=Level.WRAP, per=Per.ALGORITHM, calls=7, keys=2,
    needs=("wrap_key", "begin_import", "import_key"), optional=_EXPORTABLE,
)  # fmt: skip
def moved_key_is_the_same(bench: Bench, target: Target) -> None:
    """A key that is wrapped and imported again signs under its old public key, or decrypts its old ciphertexts."""
    key = _exportable(bench, target.name)
    label = bench.label()
    ticket = ticket_for(bench, label, target.name)
    _described(ticket.method, _support(target).import_methods, "takes keys that are wrapped")
    released = _wrap(bench, key, ticket.wrapping_public_key, ticket.method)
    moved = bench.made(bench.subject.import_key(ticket, released.blob))
    expect(moved.spki == key.spki, "a key that was moved has another public key")
    works(bench, moved)
    if not key.spki and bench.subject.description.location is not Location.REMOTE:
        old = bench.subject.encrypt(key.reference, _MESSAGE)
        expect(
            bench.subject.decrypt(moved.reference, old) == _MESSAGE, "a key that was moved decrypts to something else"
        )
    bench.destroy(moved)


@check(
    56, group=Group.WRAP, level=Level.WRAP, per=Per.ALGORITHM, calls=3, keys=1, needs=("wrap_key",),
    optional=_EXPORTABLE,
)  # fmt: skip
def wrapped_key_opens_with_cryptography(bench: Bench, target: Target) -> None:
    """A wrapped key is what the method says: `cryptography` unwraps it, and finds the whole key and nothing else."""
    key = _exportable(bench, target.name)
    first, second = (_wrap(bench, key, wrapping_spki()) for _ in range(2))
    expect(first.blob != second.blob, "wrapping a key twice gives one blob, so nothing in it is fresh")
    _described(first.method, _support(target).wrap_methods, "wraps keys")
    for released in (first, second):
        secret = unwrapped(released, wrapping_key())
        expect(secret is not None, f"a wrapped key cannot be unwrapped by OAEP and AES-KWP as {released.method} says")
        if not key.spki:
            expect(len(secret or b"") == _AES_BYTES, "a wrapped secret key has another length")
        else:
            expect(_public_half(bench, secret or b"") == key.spki, "a wrapped private key is no PKCS#8 of the key")


@check(59, group=Group.WRAP, level=Level.CORE, per=Per.ALGORITHM, calls=4, needs=("wrap_key",), security=True)
def key_that_is_not_exportable_stays(bench: Bench, target: Target) -> None:
    """A key that is not exportable is not wrapped, under any key or method."""
    key = bench.key(target.name)
    for method in (RSA_AES_KEY_WRAP_SHA256, RSA_AES_KEY_WRAP_SHA1, "", "NONE"):
        what = "wrapping a key that is not exportable"
        wrap = partial(bench.subject.wrap_key, key.reference, wrapping_spki(), method)
        refused(CapabilityUnsupported, what, wrap)


@check(
    61,
    group=Group.WRAP,
    level=Level.WRAP,
    calls=4,
    needs=("begin_import", "list_keys"),
    optional=("begin_import",),
    security=True,
)
def key_of_a_ticket_is_no_key(bench: Bench, target: Target) -> None:
    """The key of an import ticket unwraps imports alone: it is not listed, and no label finds it."""
    algorithm = importable(bench)
    label = bench.label()
    before = bench.subject.list_keys()
    ticket = ticket_for(bench, label, algorithm)
    expect(bench.subject.list_keys() == before, "beginning an import added a key to the list")
    expect(not bench.exists(label), "beginning an import made a key of its label")
    again = ticket_for(bench, label, algorithm)
    expect(again.ticket_id != ticket.ticket_id, "two tickets have one id")
    bench.journal.gone(label)


@check(
    62, group=Group.WRAP, level=Level.WRAP, calls=7, keys=1, needs=("wrap_key",), optional=_EXPORTABLE, security=True
)
def weak_wrapping_key_is_refused(bench: Bench, target: Target) -> None:
    """A key is wrapped under RSA of 3072 bits or more alone, and imports are asked for under no weaker one."""
    algorithm = bench.cheapest(signs=False) or bench.cheapest(signs=True)
    if algorithm is None:
        raise Unsupported("create_key", "the backend describes no algorithm")
    key = _exportable(bench, algorithm)
    weak = {
        "an RSA key of 2048 bits": wrapping_spki(_TOO_SHORT),
        "an EC key": spki_of(original("ECDSA_P256")),
        "no key at all": b"",
        "a key with bytes after it": wrapping_spki() + b"\x00",
        "a private key": wrapping_key().private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
    for what, spki in weak.items():
        wrap = partial(bench.subject.wrap_key, key.reference, spki, RSA_AES_KEY_WRAP_SHA256)
        refused(InvalidArgument, f"wrapping under {what}", wrap)
    if bench.subject.has("begin_import"):
        _ticket_is_strong(bench)


def _exportable(bench: Bench, algorithm: str) -> Key:
    """Return the exportable key that the checks of this module share."""
    return bench.shared(f"exportable {algorithm}", lambda: bench.make(algorithm, exportable=True))


def _wrap(bench: Bench, key: Key, spki: bytes, method: str | None = None) -> WrappedKey:
    """Return a key, wrapped by a method, or by the first one that the backend has."""
    reasons = []
    for each in OAEP if method is None else (method,):
        try:
            return bench.subject.wrap_key(key.reference, spki, each)
        except CapabilityUnsupported as error:
            reasons.append(error.message)
    raise Unsupported("wrap_key", "; ".join(dict.fromkeys(reasons)))


def _support(target: Target) -> AlgorithmSupport:
    return target.algorithm or AlgorithmSupport(algorithm="")


def _described(method: str, methods: tuple[str, ...], what: str) -> None:
    """Expect that a plan which is made from the description alone would name this method."""
    expect(method in methods, f"the backend {what} by {method}, and does not describe that")


def _public_half(bench: Bench, pkcs8: bytes) -> bytes:
    """Return the public key of a PKCS#8; of one with zeros behind it, which Keyclave takes off, too."""
    whole = without_padding(SecretBytes(pkcs8)).get_secret_value()
    if whole != pkcs8:
        bench.observe("Wrapped private keys have zeros behind their PKCS#8. Keyclave takes them off; others may not.")
    try:
        return spki_of(serialization.load_der_private_key(whole, None))
    except ValueError:
        return b""


def _ticket_is_strong(bench: Bench) -> None:
    label = bench.label()
    bits = oracle.load(ticket_for(bench, label, importable(bench)).wrapping_public_key).key_size
    expect(bits >= _FEWEST_BITS, f"a ticket asks for a key under RSA of {bits} bits")
    bench.journal.gone(label)
