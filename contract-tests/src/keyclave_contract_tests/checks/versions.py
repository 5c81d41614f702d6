"""Versions of a key are keys of their own, whose labels differ in nothing but the version."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from keyclave.errors import DecryptionFailed, InvalidSignature, KeyclaveError, KeyNotFound
from keyclave.plugin import KeyLabel

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.lineages import destroy_all, in_version, lineage
from keyclave_contract_tests.threads import together
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level

_MESSAGE = b"signed by one version"
_WIDTHS = (1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 2**31 - 1)
"""On both sides of what fits into one byte, two bytes and a signed word, and what these would be cut down to."""
_SWEEP = 300
_AT_ONCE = 4
_PAUSE = 0.002
"""Seconds between two uses of a key that is not to be disturbed; without it a fast backend is called without end."""


@check(66, group=Group.VERSIONS, level=Level.ROTATE, calls=10, keys=3, needs=("create_key", "find_key"))
def versions_are_keys_of_their_own(bench: Bench, target: Target) -> None:
    """A new version is one more key: it has an address of its own, and the versions before it stay as they were."""
    made = lineage(bench, any_algorithm(bench), (1, 2, 3))
    expect(len({key.reference.uri for key in made}) == len(made), "two versions of a key have one address")
    for key in made:
        version = key.reference.label.version
        found = _found(bench, key.reference.label, f"version {version} is not found after later ones were made")
        expect(found == key.reference, f"version {version} is found at another address than it was made at")
    if bench.subject.has("list_keys"):
        missing = {key.reference for key in made} - set(bench.subject.list_keys())
        expect(not missing, f"{len(missing)} of {len(made)} versions are missing in the list")
    destroy_all(bench, made)


@check(67, group=Group.VERSIONS, level=Level.ROTATE, calls=6, keys=3, needs=("create_key",), security=True)
def new_version_has_new_material(bench: Bench, target: Target) -> None:
    """Each version has key material of its own: no public key comes twice."""
    made = lineage(bench, _signing(bench), (1, 2, 3))
    expect(len({key.spki for key in made}) == len(made), "a new version has the material of an older one")
    destroy_all(bench, made)


@check(68, group=Group.VERSIONS, level=Level.ROTATE, calls=6, keys=2, needs=("sign",))
def newest_version_signs(bench: Bench, target: Target) -> None:
    """Once a newer version is made, a signature asked of it verifies under its own public key."""
    old, new = lineage(bench, _signing(bench), (1, 2))
    _signs(bench, old)
    _signs(bench, new)
    destroy_all(bench, (old, new))


@check(69, group=Group.VERSIONS, level=Level.ROTATE, calls=9, keys=3, needs=("sign",))
def old_versions_go_on_signing(bench: Bench, target: Target) -> None:
    """A signature asked of an old version verifies under its public key, however many newer ones there are."""
    made = lineage(bench, _signing(bench), (1, 2, 3))
    for key in reversed(made):
        _signs(bench, key)
    destroy_all(bench, made)


@check(70, group=Group.VERSIONS, level=Level.ROTATE, calls=6, keys=2, needs=("sign",), security=True)
def signature_of_another_version_is_invalid(bench: Bench, target: Target) -> None:
    """A signature by one version is refused under the public key of another."""
    algorithm = _signing(bench)
    scheme = bench.scheme(algorithm)
    made = lineage(bench, algorithm, (1, 2))
    signatures = [bench.sign(key, _MESSAGE, scheme) for key in made]
    for key, signature in zip(made, reversed(signatures), strict=True):
        version = key.reference.label.version
        expect(
            not oracle.is_valid(key.spki, scheme.scheme, _MESSAGE, signature),
            f"a signature asked of the other version was made with the key of version {version}",
        )
    verifiers = [_verifier(bench, key, scheme.scheme) for key in made]
    for verify, own, other in zip(verifiers, signatures, reversed(signatures), strict=True):
        verify(_MESSAGE, own)
        refused(InvalidSignature, "verifying with the signature of another version", partial(verify, _MESSAGE, other))
    destroy_all(bench, made)


@check(
    71,
    group=Group.VERSIONS,
    level=Level.ROTATE,
    per=Per.ENCRYPTING,
    calls=9,
    keys=2,
    needs=("encrypt", "decrypt"),
    security=True,
)
def old_ciphertext_needs_its_version(bench: Bench, target: Target) -> None:
    """What an old version encrypted is decrypted by that version after newer ones were made, and by no other."""
    old = bench.make(target.name)
    ciphertext = bench.subject.encrypt(old.reference, _MESSAGE)
    new = bench.make(target.name, label=in_version(bench, old.reference.label, 2))
    fresh = bench.subject.encrypt(new.reference, _MESSAGE)
    _decrypts(bench, old, ciphertext, "the ciphertext of an old version")
    _decrypts(bench, new, fresh, "the ciphertext of the new version")
    for key, foreign in ((new, ciphertext), (old, fresh)):
        refused(
            DecryptionFailed,
            "decrypting the ciphertext of another version",
            partial(bench.subject.decrypt, key.reference, foreign),
        )
    destroy_all(bench, (old, new))


@check(72, group=Group.VERSIONS, level=Level.ROTATE, calls=8, keys=2, needs=("find_key",))
def missing_version_is_not_found(bench: Bench, target: Target) -> None:
    """A version that was never made is not found, whichever versions of its key there are."""
    made = lineage(bench, any_algorithm(bench), (2, 11))
    base = made[0].reference.label
    for version in (1, 3, 10, 12, 22, 110):
        bench.example = f"version {version}, of a key with the versions 2 and 11"
        label = in_version(bench, base, version)
        refused(KeyNotFound, "finding a version that was never made", partial(bench.subject.find_key, label))
        bench.journal.gone(label)
    bench.example = None
    destroy_all(bench, made)


@check(73, group=Group.VERSIONS, level=Level.ROTATE, calls=60, keys=4, needs=("create_key", "find_key"))
def making_a_version_disturbs_nobody(bench: Bench, target: Target) -> None:
    """While a version is being made, those before it are found and used without one error."""
    algorithm = any_algorithm(bench)
    old = bench.make(algorithm)
    made: list[Key] = []
    over = threading.Event()

    def rotate() -> None:
        versions = range(2, 2 + bench.budget.rounds)
        labels = [in_version(bench, old.reference.label, version) for version in versions]
        try:
            made.extend(bench.make(algorithm, label=label) for label in labels)
        finally:
            over.set()

    def use() -> None:
        while not over.wait(_PAUSE):
            _undisturbed(bench, old)

    together(rotate, use)
    destroy_all(bench, (old, *made))


@check(74, group=Group.VERSIONS, level=Level.ROTATE, calls=30, keys=12, needs=("create_key", "find_key"))
def versions_made_at_once_are_all_kept(bench: Bench, target: Target) -> None:
    """When several versions of a key are made at the same moment, every one of them is there afterwards."""
    algorithm = any_algorithm(bench)
    for _ in range(bench.budget.rounds):
        base = bench.labels.new()
        labels = [in_version(bench, base, version) for version in range(1, 1 + _AT_ONCE)]
        made = together(*(partial(bench.make, algorithm, label=label) for label in labels))
        lost = [label.version for label in labels if not bench.exists(label)]
        expect(not lost, f"of {_AT_ONCE} versions that were made at once, {len(lost)} cannot be found")
        destroy_all(bench, made)


@check(75, group=Group.VERSIONS, level=Level.ROTATE, calls=9, keys=3, needs=("public_key",), security=True)
def public_key_is_that_of_the_version(bench: Bench, target: Target) -> None:
    """The public key that is asked for is that of the version asked about, before and after newer ones are made."""
    algorithm = _signing(bench)
    base = bench.labels.new()
    made: list[Key] = []
    for version in (1, 2, 3):
        made.append(bench.make(algorithm, label=in_version(bench, base, version)))
        for key in reversed(made):
            expect(
                bench.subject.public_key(key.reference) == key.spki,
                f"with {version} versions, the public key of version {key.reference.label.version} is another one",
            )
    destroy_all(bench, made)


@check(76, group=Group.VERSIONS, level=Level.ROTATE, calls=9, keys=3, needs=("create_key",))
def version_made_again_is_the_same(bench: Bench, target: Target) -> None:
    """Making a version again, as after a lost answer, returns the version that is there, and makes no other."""
    algorithm = _signing(bench)
    first, second = lineage(bench, algorithm, (1, 2))
    again = bench.make(algorithm, label=second.reference.label)
    expect(again == second, "making version 2 again replaced its key")
    if bench.subject.has("list_keys"):
        mine = [k for k in bench.subject.list_keys() if k.label.key_id == first.reference.label.key_id]
        expect(
            len(mine) == len((first, second)), f"making version 2 again left {len(mine)} versions, where 2 are due"
        )
    destroy_all(bench, (first, second))


@check(77, group=Group.VERSIONS, level=Level.ROTATE, calls=12, keys=3, needs=("destroy_key", "find_key"))
def destroying_a_version_spares_the_others(bench: Bench, target: Target) -> None:
    """Destroying one version leaves those before and after it as they were."""
    first, second, third = lineage(bench, any_algorithm(bench), (1, 2, 3))
    bench.destroy(second)
    refused(KeyNotFound, "finding a destroyed version", partial(bench.subject.find_key, second.reference.label))
    for key in (first, third):
        version = key.reference.label.version
        _found(bench, key.reference.label, f"destroying version 2 took version {version} away, too")
        works(bench, key)
    destroy_all(bench, (first, third))


@check(78, group=Group.VERSIONS, level=Level.ROTATE, calls=40, keys=len(_WIDTHS), needs=("create_key", "find_key"))
def high_versions_do_not_wrap(bench: Bench, target: Target) -> None:
    """Versions beyond what one byte, two bytes or a signed word can count are keys of their own."""
    versions = (*_WIDTHS, *sorted(set(range(_SWEEP)) - {0, *_WIDTHS})) if bench.budget.name == "deep" else _WIDTHS
    made = lineage(bench, _signing(bench), versions)
    by_key: dict[bytes, int] = {}
    for key in made:
        version = key.reference.label.version
        expect(key.spki not in by_key, f"version {version} is the key of version {by_key.get(key.spki)}")
        by_key[key.spki] = version
    for key in made:
        version = key.reference.label.version
        found = _found(bench, key.reference.label, f"version {version} was made, and is not found")
        expect(found == key.reference, f"version {version} is found at the address of another one")
    destroy_all(bench, made)


def _signing(bench: Bench) -> str:
    """Return the algorithm whose keys are made fastest, of those with a public key to tell them apart by."""
    name = bench.cheapest(signs=True)
    if name is None:
        raise Unsupported("create_key", "the backend has no keys with a public key")
    return name


def _signs(bench: Bench, key: Key) -> None:
    scheme = bench.scheme(key.reference.algorithm)
    expect(
        oracle.is_valid(key.spki, scheme.scheme, _MESSAGE, bench.sign(key, _MESSAGE, scheme)),
        f"a signature asked of version {key.reference.label.version} does not verify under its public key",
    )


def _decrypts(bench: Bench, key: Key, ciphertext: bytes, what: str) -> None:
    try:
        plaintext = bench.subject.decrypt(key.reference, ciphertext)
    except KeyclaveError as error:
        raise Violation(f"{what} was refused with {type(error).__name__} by the version that made it") from error
    expect(plaintext == _MESSAGE, f"{what} decrypts to something else")


def _found(bench: Bench, label: KeyLabel, otherwise: str) -> object:
    try:
        return bench.subject.find_key(label)
    except KeyNotFound as error:
        raise Violation(otherwise) from error


def _undisturbed(bench: Bench, key: Key) -> None:
    try:
        bench.subject.find_key(key.reference.label)
        works(bench, key)
    except KeyclaveError as error:
        raise Violation(f"while a version was made, using an older one raised {type(error).__name__}") from error


def _verifier(bench: Bench, key: Key, scheme: str) -> Callable[[bytes, bytes], None]:
    crypto = bench.source.crypto
    return crypto.bind_verifier(crypto.load_public_key(key.spki), scheme)
