"""A key does what its kind does, and nothing else, whatever is asked of it and in whatever words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyNotFound
from keyclave.models import SIGNATURE_SCHEMES, get_signature_scheme
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, KeyReference
from msgspec import structs

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.uses import works
from keyclave_contract_tests.violations import Unsupported, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.wrapping_keys import wrapping_spki

_CANNOT = (CapabilityUnsupported, InvalidArgument)
_MESSAGE = b"what this key must not be used for"
_SHORT = (1024, 2048)
"""Bits of RSA keys that are too short to wrap a key under."""


@check(79, group=Group.USAGE, level=Level.CORE, per=Per.SIGNING, calls=5, needs=("sign",), security=True)
def only_described_schemes_sign(bench: Bench, target: Target) -> None:
    """A key signs with the schemes that the description names for it, and is refused with any other."""
    key = bench.key(target.name)
    for scheme, data in _foreign_schemes(target):
        bench.example = scheme
        refused(
            _CANNOT,
            "signing with a scheme that is not described for the key",
            partial(bench.subject.sign, key.reference, data, scheme),
        )
    bench.example = None


@check(80, group=Group.USAGE, level=Level.CORE, per=Per.ALGORITHM, calls=18, needs=("find_key",), security=True)
def refusal_changes_nothing(bench: Bench, target: Target) -> None:
    """Uses that are refused, as often as they are tried, leave the key as it was and as useful as before."""
    key = bench.key(target.name)
    for _ in range(4):
        for what, call in _wrong_uses(bench, key.reference, target):
            refused(_CANNOT, what, call)
    expect(
        bench.subject.find_key(key.reference.label) == key.reference, "refused uses changed the address of the key"
    )
    if key.spki and bench.subject.has("public_key"):
        expect(bench.subject.public_key(key.reference) == key.spki, "refused uses changed the public key")
    works(bench, key)


@check(81, group=Group.USAGE, level=Level.CORE, per=Per.ALGORITHM, calls=3, security=True)
def reference_does_not_change_the_kind(bench: Bench, target: Target) -> None:
    """A reference that names another algorithm does not make a key do what keys of that algorithm do."""
    key = bench.key(target.name)
    for other in bench.subject.description.algorithms:
        if bool(other.schemes) is bool(key.spki):
            continue
        bench.example = f"a key of {target.name}, addressed as one of {other.algorithm}"
        claimed = structs.replace(key.reference, algorithm=other.algorithm)
        for what, call in _wrong_uses(bench, claimed, target):
            refused((*_CANNOT, KeyNotFound), f"{what}, addressed as a key of another kind,", call)
        break
    bench.example = None


@check(82, group=Group.USAGE, level=Level.CORE, per=Per.ALGORITHM, calls=3, security=True)
def kinds_of_keys_are_kept_apart(bench: Bench, target: Target) -> None:
    """A secret key is refused for signing and has no public key; a private key is refused for encryption."""
    for what, call in _wrong_uses(bench, bench.key(target.name).reference, target):
        refused(_CANNOT, what, call)


@check(
    83, group=Group.USAGE, level=Level.CORE, calls=5, keys=1,
    needs=("wrap_key",), optional=("create_key",), security=True,
)  # fmt: skip
def weak_wrapping_key_is_refused(bench: Bench, target: Target) -> None:
    """A key is not wrapped under RSA keys of less than 3072 bits, under keys that are not RSA, or under none."""
    key = _exportable(bench)
    for bits in _SHORT:
        _not_wrapped(bench, key, wrapping_spki(bits), f"an RSA key of {bits} bits")
    _not_wrapped(bench, key, _elliptic_spki(), "an elliptic key")
    _not_wrapped(bench, key, b"", "no key at all")
    bench.destroy(key)


def _foreign_schemes(target: Target) -> Iterator[tuple[str, bytes]]:
    """Return a scheme of each kind that the algorithm does not have, with data of the length that it takes."""
    own = {s.scheme for s in target.algorithm.schemes} if target.algorithm else set()
    kinds: set[str] = set()
    for scheme in SIGNATURE_SCHEMES.values():
        kind = scheme.name.rpartition("_")[0]
        if scheme.name not in own and kind not in kinds:
            kinds.add(kind)
            yield scheme.name, bytes(scheme.digest_size) or _MESSAGE


def _wrong_uses(bench: Bench, reference: KeyReference, target: Target) -> Iterator[tuple[str, Callable[[], object]]]:
    """Return what a key of the target's kind cannot do, as the subject of a sentence and the call."""
    subject = bench.subject
    if target.algorithm is not None and target.algorithm.schemes:
        yield "encrypting with a private key", partial(subject.encrypt, reference, _MESSAGE)
        yield "decrypting with a private key", partial(subject.decrypt, reference, bytes(60))
    else:
        scheme = get_signature_scheme("ECDSA_SHA256")
        sign = partial(subject.sign, reference, bytes(scheme.digest_size), scheme.name)
        yield "signing with a secret key", sign
        yield "asking a secret key for its public key", partial(subject.public_key, reference)
    yield "authenticating with a key that is not for that", partial(subject.mac, reference, _MESSAGE)


def _exportable(bench: Bench) -> Key:
    """Return a new key that may be wrapped, of the first algorithm of which the backend makes such keys."""
    refusal = Unsupported("create_key", "the backend describes no algorithm")
    for name in filter(None, (bench.cheapest(signs=True), bench.cheapest(signs=False))):
        try:
            return bench.make(name, exportable=True)
        except Unsupported as error:
            refusal = error
    raise refusal


def _not_wrapped(bench: Bench, key: Key, spki: bytes, under: str) -> None:
    refused(
        InvalidArgument,
        f"wrapping a key under {under}",
        partial(bench.subject.wrap_key, key.reference, spki, RSA_AES_KEY_WRAP_SHA256),
    )


def _elliptic_spki() -> bytes:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
