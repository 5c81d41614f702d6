"""Names that are nearly equal are different names, and words that the backend does not know are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

from hypothesis import strategies as st
from keyclave.errors import CapabilityUnsupported, InvalidArgument, KeyclaveError, KeyNotFound
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, KeyLabel, KeyReference
from msgspec import structs

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.uses import any_algorithm, attempt, works
from keyclave_contract_tests.violations import expect, refused
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.wrapping_keys import wrapping_spki

_BITS = 128
_UNKNOWN = (CapabilityUnsupported, InvalidArgument)
_NOT_THAT_KEY = (KeyNotFound, InvalidArgument)
_MESSAGE = b"in whose name"
_DISGUISES: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.swapcase,
    lambda name: name + " ",
    lambda name: " " + name,
    lambda name: name + "\n",
    lambda name: name + "\x00",
    lambda name: name + "\x00.txt",
    lambda name: name.replace("_", "-"),
    lambda name: name.replace("_", ""),
    lambda name: "../" + name,
    lambda name: name + "/..",
    lambda name: name[:-1] + chr(ord(name[-1]) + 0xFEE0),
    lambda name: name + "\N{ZERO WIDTH SPACE}",
    lambda name: name + "*",
    lambda name: f"{name}' OR '1'='1",
    lambda name: f"%{ord(name[0]):02X}{name[1:]}",
)
"""What file systems, shells, databases, URLs and normal forms of Unicode take for the name itself, or for more."""
_SURROGATES = ("\ud800", "\udfff", "ECDSA_SHA256\ud83d", "\udc00AES_256", "page\udcff")


@check(91, group=Group.NAMES, level=Level.CORE, calls=18, keys=1, needs=("find_key",))
def nearly_equal_labels_are_not_found(bench: Bench, target: Target) -> None:
    """A label that differs from that of a key in one bit, or in the order of its parts, finds nothing."""
    key = bench.make(any_algorithm(bench))
    here = key.reference.label

    def body(label: KeyLabel) -> None:
        if label != here:
            refused(
                KeyNotFound, "finding a key by a label that nearly is its own", lambda: bench.subject.find_key(label)
            )

    bits = st.tuples(st.sampled_from(["key_id", "operation_id"]), st.integers(0, _BITS - 1))
    ends = [(part, bit) for part in ("key_id", "operation_id") for bit in (0, 63, 64, _BITS - 1)]
    bench.each(body, bits.map(lambda place: _flipped(here, *place)), explicit=[
        *((_flipped(here, part, bit),) for part, bit in ends),
        (structs.replace(here, key_id=here.operation_id, operation_id=_flip(here.key_id, 0)),),
        (structs.replace(here, version=10),),
        (structs.replace(here, instance_id=_flip(here.instance_id, 0)),),
    ])  # fmt: skip
    bench.destroy(key)


@check(92, group=Group.NAMES, level=Level.CORE, calls=26, keys=5, needs=("create_key", "find_key"))
def nearly_equal_labels_are_other_keys(bench: Bench, target: Target) -> None:
    """Keys whose labels differ in one bit only are different keys, and destroying one leaves the others."""
    base = bench.labels.new()
    near = [_flipped(base, part, bit) for part in ("key_id", "operation_id") for bit in (0, 40)]
    made = [bench.make(any_algorithm(bench), label=bench.version(label)) for label in (base, *near)]
    for which in ("uri", "label"):
        count = len({getattr(key.reference, which) for key in made})
        expect(count == len(made), f"{len(made)} keys with nearly equal labels have {count} of {which} between them")
    expect(
        not made[0].spki or len({key.spki for key in made}) == len(made),
        "two keys with nearly equal labels have one public key",
    )
    bench.destroy(made[0])
    for key in made[1:]:
        expect(bench.exists(key.reference.label), "destroying a key took one with a nearly equal label away, too")
        bench.destroy(key)


@check(93, group=Group.NAMES, level=Level.CORE, calls=64, needs=("sign",), security=True)
def disguised_words_are_refused(bench: Bench, target: Target) -> None:
    """Schemes and methods are known by their exact names; what merely looks or normalises like one is refused."""

    def body(disguise: Callable[[str], str]) -> None:
        for what, word, call in _words(bench):
            changed = disguise(word)
            if changed != word:
                bench.example = repr(changed)
                refused(_UNKNOWN, f"{what} by a name that only looks like one", partial(call, changed))

    for disguise in _DISGUISES:
        body(disguise)
    extras = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
    bench.each(lambda extra: body(lambda word: word + extra), extras)


@check(94, group=Group.NAMES, level=Level.CORE, per=Per.ALGORITHM, calls=20, needs=("find_key",), security=True)
def changed_address_reaches_no_key(bench: Bench, target: Target) -> None:
    """A reference whose address was changed is refused for every use, and destroying by it leaves the key."""
    key = bench.key(target.name)
    works(bench, key)
    for uri in _changed(key.reference.uri):
        bench.example = _without_key(uri, key.reference)
        changed = structs.replace(key.reference, uri=uri)
        for what, call in attempt(bench, Key(reference=changed, spki=key.spki), target, uses_only=True):
            refused(
                _NOT_THAT_KEY if not what.startswith("wrapping") else KeyclaveError,
                f"{what} by a changed address",
                call,
            )
    bench.example = None
    expect(bench.subject.find_key(key.reference.label) == key.reference, "uses by a changed address changed the key")


@check(95, group=Group.NAMES, level=Level.CORE, calls=20, needs=("create_key",))
def surrogates_are_refused(bench: Bench, target: Target) -> None:
    """Text that is no Unicode, since half of a surrogate pair is alone in it, is refused like any wrong word."""
    for text in _SURROGATES:
        bench.example = ascii(text)
        for what, _, call in _words(bench):
            refused(_UNKNOWN, f"{what} by a name with a lone surrogate", partial(call, text))
        label = bench.labels.new()
        create = partial(bench.subject.create_key, label, text)
        refused(_UNKNOWN, "creating a key of an algorithm with a lone surrogate", create)
        if bench.subject.has("list_keys"):
            page = partial(bench.subject.page, text)
            refused(InvalidArgument, "listing from a page with a lone surrogate", page)
    bench.example = None


def _words(bench: Bench) -> Iterator[tuple[str, str, Callable[[str], object]]]:
    """Return what is asked for by a name: the subject of a sentence, a right name, and the call."""
    subject, algorithm = bench.subject, bench.cheapest(signs=True)
    if algorithm is not None and subject.has("sign"):
        key, scheme = bench.key(algorithm).reference, bench.scheme(algorithm)
        data = oracle.as_input(_MESSAGE, scheme)
        yield "signing", scheme.scheme, lambda name: subject.sign(key, data, name)
    if algorithm is not None and subject.has("wrap_key"):
        key = bench.key(algorithm).reference
        yield "wrapping", RSA_AES_KEY_WRAP_SHA256, lambda name: subject.wrap_key(key, wrapping_spki(), name)
    if subject.has("begin_import"):
        label = bench.labels.new()
        yield "importing", any_algorithm(bench), lambda name: subject.begin_import(label, name)


def _changed(uri: str) -> Iterator[str]:
    """Return addresses that are nearly that of a key."""
    yield ""
    yield uri[:-1]
    yield uri + "0"
    yield uri + "\x00"
    yield uri + " "
    yield uri + "/../" + uri.rpartition("/")[2]
    yield "other" + uri
    digits = [place for place, character in enumerate(uri) if character.isdigit()]
    if digits:
        place = digits[-1]
        yield f"{uri[:place]}{(int(uri[place]) + 1) % 10}{uri[place + 1 :]}"


def _without_key(uri: str, reference: KeyReference) -> str:
    """Return a changed address for people to read."""
    return repr(uri.replace(reference.uri, "<address>"))


def _flipped(label: KeyLabel, part: str, bit: int) -> KeyLabel:
    return structs.replace(label, **{part: _flip(getattr(label, part), bit)})


def _flip(value: UUID, bit: int) -> UUID:
    return UUID(int=value.int ^ (1 << bit))
