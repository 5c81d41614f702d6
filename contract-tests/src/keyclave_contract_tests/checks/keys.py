"""Keys are made, found, listed, disabled and destroyed as they were asked to be."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from hypothesis import strategies as st
from keyclave.errors import (
    CapabilityUnsupported,
    InvalidArgument,
    KeyDisabled,
    KeyNotFound,
    KeyStateError,
)
from keyclave.models import ALGORITHMS
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, KeyLabel

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.undisturbed import undisturbed
from keyclave_contract_tests.uses import any_algorithm, attempt, elsewhere, made_exportable, works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.wrapping_keys import wrapping_spki

_MANY = 25
_MORE_THAN_A_PAGE = 1_100
_ABSENT = (KeyNotFound,)
_NO_ALGORITHMS = ("", "ECDSA_P256 ", "ecdsa_p256", "ECDSA_P-256", "RSA_1024", "AES_256\x00", "ED25519ᅠ", "*")


@check(
    1,
    group=Group.KEYS,
    level=Level.CORE,
    per=Per.ALGORITHM,
    calls=4,
    keys=1,
    every_size=True,
    needs=("create_key", "find_key"),
)
def created_key_is_found(bench: Bench, target: Target) -> None:
    """A key that was created is found by its label, with the same address, algorithm and public key."""
    key = bench.make(target.name)
    expect(key.reference.algorithm == target.name, f"it made a key of {key.reference.algorithm}")
    found = bench.subject.find_key(key.reference.label)
    expect(found == key.reference, "the key that is found is not addressed as the key that was created")
    if key.spki:
        expect(bench.subject.public_key(found) == key.spki, "the key that is found has another public key")
    bench.destroy(key)


@check(2, group=Group.KEYS, level=Level.CORE, calls=4, keys=1, needs=("create_key", "list_keys"))
def created_key_is_listed_once(bench: Bench, target: Target) -> None:
    """A key that was created is listed exactly once, and no other key appears with it."""
    before = set(bench.subject.list_keys())
    key = bench.make(any_algorithm(bench))
    after = bench.subject.list_keys()
    expect(after.count(key.reference) == 1, f"the new key is listed {after.count(key.reference)} times")
    expect(set(after) - before == {key.reference}, "creating one key made others appear in the list")
    bench.destroy(key)


@check(3, group=Group.KEYS, level=Level.CORE, per=Per.ALGORITHM, calls=4, keys=2, needs=("create_key",))
def creating_again_returns_the_same_key(bench: Bench, target: Target) -> None:
    """Creating under a label that exists returns the key that is there, with its material unchanged."""
    key = bench.make(target.name)
    again = bench.make(target.name, label=key.reference.label)
    expect(again.reference == key.reference, "creating again returned a key with another address")
    expect(again.spki == key.spki, "creating again replaced the key: its public key changed")
    works(bench, key)
    if bench.subject.has("list_keys"):
        listed = [k for k in bench.subject.list_keys() if k.label == key.reference.label]
        expect(len(listed) == 1, f"creating again left {len(listed)} keys of one label")
    bench.destroy(key)


@check(4, group=Group.KEYS, level=Level.CORE, per=Per.ALGORITHM, calls=5, needs=("find_key",))
def missing_key_is_not_found(bench: Bench, target: Target) -> None:
    """Every hook answers ``KeyNotFound`` for a key that was never made."""
    label = bench.labels.new()
    refused(_ABSENT, "finding a key that was never made", lambda: bench.subject.find_key(label))
    here = bench.key(target.name)
    ghost = elsewhere(here.reference, label)
    for what, call in attempt(bench, Key(reference=ghost, spki=here.spki), target):
        refused((*_ABSENT, InvalidArgument), f"{what} with a key that was never made", call)


@check(5, group=Group.KEYS, level=Level.CORE, per=Per.ALGORITHM, calls=7, keys=1, needs=("destroy_key", "find_key"))
def destroyed_key_is_gone(bench: Bench, target: Target) -> None:
    """A destroyed key is not found, not listed, and refused for every use."""
    key = made_exportable(bench, target.name) or bench.make(target.name)
    works(bench, key)
    bench.destroy(key)
    refused(_ABSENT, "finding a destroyed key", lambda: bench.subject.find_key(key.reference.label))
    for what, call in attempt(bench, key, target):
        refused((*_ABSENT, KeyDisabled), f"{what} with a destroyed key", call)
    if bench.subject.has("list_keys"):
        expect(key.reference not in bench.subject.list_keys(), "a destroyed key is still listed")


@check(6, group=Group.KEYS, level=Level.CORE, calls=3, keys=1, needs=("destroy_key",))
def destroying_again_changes_nothing(bench: Bench, target: Target) -> None:
    """Destroying a key again gives the same answer as the first time."""
    key = bench.make(any_algorithm(bench))
    first = bench.subject.destroy_key(key.reference)
    try:
        second = bench.subject.destroy_key(key.reference)
    except KeyStateError as error:
        raise Violation(f"destroying a key again raised {type(error).__name__}") from error
    expect(first == second, f"destroying it said {first.state.value}, and then {second.state.value}")


@check(7, group=Group.KEYS, level=Level.CORE, per=Per.SIGNING, calls=5, keys=2, needs=("destroy_key",))
def label_of_a_destroyed_key_makes_a_new_key(bench: Bench, target: Target) -> None:
    """A key made under the label of a destroyed one is new, or refused; the old material never comes back."""
    key = bench.make(target.name)
    bench.destroy(key)
    try:
        again = bench.make(target.name, label=bench.version(key.reference.label))
    except (KeyStateError, Unsupported):
        return
    expect(again.spki != key.spki, "the material of a destroyed key came back under its label")
    bench.destroy(again)


@check(8, group=Group.KEYS, level=Level.CORE, calls=80, keys=_MANY, needs=("create_key", "list_keys"))
def list_is_complete(bench: Bench, target: Target) -> None:
    """All pages together list every key once, however many there are."""
    many = _MORE_THAN_A_PAGE if bench.budget.name == "deep" else _MANY
    algorithm = bench.cheapest(signs=False) or any_algorithm(bench)
    made = [bench.make(algorithm) for _ in range(many)]
    listed = bench.subject.list_keys()
    expect(len(listed) == len(set(listed)), "a key is listed twice")
    missing = {key.reference for key in made} - set(listed)
    expect(not missing, f"{len(missing)} of {many} keys are missing in the list")
    for key in made:
        bench.destroy(key)


@check(9, group=Group.KEYS, level=Level.CORE, calls=12, needs=("list_keys",))
def foreign_page_is_refused(bench: Bench, target: Target) -> None:
    """A page token that did not come from the backend is refused with ``InvalidArgument``."""

    def body(token: str) -> None:
        refused(InvalidArgument, "listing from a page token of no backend", lambda: bench.subject.page(token))

    tokens = st.text(st.characters(codec="utf-8"), max_size=40).map(lambda text: f"no such page: {text}")
    bench.each(body, tokens, explicit=[("",), ("../",), ("%",), ("\x00",), ("' OR 1=1 --",)])


@check(11, group=Group.KEYS, level=Level.CORE, calls=12, keys=3, needs=("create_key", "list_keys"))
def list_is_stable(bench: Bench, target: Target) -> None:
    """Two lists without a change in between are equal, in order too, and so is each page that is asked for again."""
    for _ in range(3):
        bench.make(any_algorithm(bench))
    expect(bench.subject.list_keys() == bench.subject.list_keys(), "two lists differ, and nothing changed in between")
    token: str | None = None
    seen: set[str | None] = set()
    while token not in seen:
        seen.add(token)
        page = bench.subject.page(token)
        again = undisturbed("asking for a page again", partial(bench.subject.page, token))
        expect(
            again.keys == page.keys, "a page that is asked for again is another one, and nothing changed in between"
        )
        token = page.next_page


@check(12, group=Group.KEYS, level=Level.CORE, calls=7, keys=2, needs=("list_keys",), security=True)
def other_instances_are_invisible(bench: Bench, target: Target) -> None:
    """Keys of another Keyclave instance are neither listed nor found under a label of this one."""
    own = bench.make(any_algorithm(bench))
    with bench.another(instance=1) as other:
        theirs = bench.make(any_algorithm(bench), label=bench.label(1), subject=other)
        expect(theirs.reference not in bench.subject.list_keys(), "the list holds a key of another instance")
        expect(own.reference not in other.list_keys(), "another instance lists a key of this one")
        foreign = {key.label.instance_id for key in bench.subject.list_keys()} - {bench.labels.instance()}
        expect(not foreign, "the list holds keys of other instances")
        other.destroy_key(theirs.reference)
    bench.destroy(own)


@check(13, group=Group.KEYS, level=Level.CORE, calls=24, needs=("create_key", "find_key"))
def unknown_algorithm_is_refused(bench: Bench, target: Target) -> None:
    """An algorithm that the backend does not describe is refused, and nothing is left behind."""
    described = {support.algorithm for support in bench.subject.description.algorithms}
    for name in (*sorted(set(ALGORITHMS) - described), *_NO_ALGORITHMS):
        label = bench.label()
        bench.example = repr(name)
        refused(
            (CapabilityUnsupported, InvalidArgument),
            "creating a key of an algorithm that is not described",
            partial(bench.subject.create_key, label, name),
        )
        expect(not bench.exists(label), "an algorithm was refused, and a key was left behind")
        bench.journal.gone(label)
    bench.example = None


@check(
    14, group=Group.KEYS, level=Level.CORE, per=Per.ALGORITHM, calls=5, keys=2, needs=("create_key",), security=True
)
def exportable_is_what_was_asked_for(bench: Bench, target: Target) -> None:
    """A key is exportable exactly if that was asked for, and asking again in another way changes nothing."""
    label = bench.label()
    made = bench.subject.create_key(label, target.name)
    expect(made.exportable is False, "a key that must not be exportable is")
    refused(
        (KeyStateError, CapabilityUnsupported, InvalidArgument),
        "creating an existing key again as exportable",
        lambda: bench.subject.create_key(label, target.name, exportable=True),
    )
    again = bench.subject.create_key(label, target.name)
    expect(again == made, "being asked for another kind of key changed the key that was there")
    bench.subject.destroy_key(made.reference)
    exportable = bench.label()
    try:
        free = bench.subject.create_key(exportable, target.name, exportable=True)
    except CapabilityUnsupported as error:
        bench.unsupported("create_key", error, exportable)
        return
    expect(free.exportable is True, "a key that was asked to be exportable is not, and nothing said so")
    expect(free.hsm_backed is made.hsm_backed, "a key is said to be elsewhere than others because it is exportable")
    bench.subject.destroy_key(free.reference)


@check(15, group=Group.KEYS, level=Level.CORE, calls=18, keys=6, needs=("create_key", "find_key"))
def label_is_kept_exactly(bench: Bench, target: Target) -> None:
    """A label comes back bit by bit as it was given, at the ends of what its parts can be."""
    base = bench.labels.new()
    ends = (0, 1, 2**63, 2**127, 2**128 - 2, 2**128 - 1)
    for operation, version in zip(ends, (1, 2, 255, 256, 65_536, 2**31 - 1), strict=True):
        label = KeyLabel(
            instance_id=base.instance_id, key_id=base.key_id, version=version, operation_id=UUID(int=operation)
        )
        bench.example = f"version {version}, operation {operation:#x}"
        key = bench.make(any_algorithm(bench), label=bench.version(label))
        expect(key.reference.label == label, "creating changed the label")
        expect(bench.subject.find_key(label).label == label, "finding returned another label")
        listed = [k.label for k in bench.subject.list_keys()] if bench.subject.has("list_keys") else [label]
        expect(label in listed, "the list holds no key with exactly the label that was given")
        bench.destroy(key)
    bench.example = None


@check(
    16, group=Group.KEYS, level=Level.CORE, per=Per.ALGORITHM, calls=6, keys=1, needs=("disable_key", "enable_key")
)
def disabling_keeps_the_key(bench: Bench, target: Target) -> None:
    """Disabling and enabling a key changes neither its address nor its public key nor what it can do."""
    key = bench.make(target.name)
    bench.subject.disable_key(key.reference)
    expect(bench.subject.find_key(key.reference.label) == key.reference, "a disabled key is found at another address")
    bench.subject.enable_key(key.reference)
    if key.spki:
        expect(bench.subject.public_key(key.reference) == key.spki, "enabling a key changed its public key")
    works(bench, key)
    bench.destroy(key)


@check(18, group=Group.KEYS, level=Level.CORE, per=Per.SIGNING, calls=3, keys=1, needs=("public_key",), security=True)
def public_key_is_only_public(bench: Bench, target: Target) -> None:
    """What is returned as a public key is a SubjectPublicKeyInfo alone: no private key, nothing around it."""
    key = bench.make(target.name)
    spki = bench.subject.public_key(key.reference)
    try:
        loaded = serialization.load_der_public_key(spki)
    except ValueError:
        raise Violation("the public key is no SubjectPublicKeyInfo") from None
    canonical = loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    expect(canonical == spki, "the public key has bytes around its SubjectPublicKeyInfo")
    expect(spki == key.spki, "the public key is not the one that creating the key returned")
    bench.destroy(key)


@check(
    19, group=Group.KEYS, level=Level.CORE, per=Per.ALGORITHM, calls=10, keys=1,
    needs=("disable_key", "enable_key"), security=True,
)  # fmt: skip
def disabled_key_is_refused(bench: Bench, target: Target) -> None:
    """A disabled key is refused for every use but its public key, until it is enabled again."""
    exportable = made_exportable(bench, target.name)
    key = exportable or bench.make(target.name)
    works(bench, key)
    for _ in range(2):
        bench.subject.disable_key(key.reference)
    for what, call in attempt(bench, key, target, uses_only=True):
        refused(KeyDisabled, f"{what} with a disabled key", call)
    if exportable is not None:
        wrap = partial(bench.subject.wrap_key, key.reference, wrapping_spki(), RSA_AES_KEY_WRAP_SHA256)
        refused((KeyDisabled, CapabilityUnsupported), "wrapping a disabled key", wrap)
    if key.spki:
        expect(bench.subject.public_key(key.reference) == key.spki, "disabling a key changed its public key")
    for _ in range(2):
        bench.subject.enable_key(key.reference)
    works(bench, key)
    bench.destroy(key)
