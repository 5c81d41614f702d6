"""What was done stays done, and what was interrupted is either done or not done, and can be repeated."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from keyclave.errors import CapabilityUnsupported, KeyclaveError, KeyNotFound
from keyclave.models import get_algorithm
from keyclave.plugin import RSA_AES_KEY_WRAP_SHA256, KeyLabel, KeyReference

from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.elsewhere import answer_of
from keyclave_contract_tests.full_disk import Condition, changes, condition, judge, without_space
from keyclave_contract_tests.importing import wrapped
from keyclave_contract_tests.interrupted import (
    create_and_destroy,
    create_slowly,
    import_slowly,
    killed_within,
    pkcs8_of,
    spki_of,
)
from keyclave_contract_tests.kept import expect_no_others, files
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused, type_name
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.waiting import eventually
from keyclave_contract_tests.wrapping_keys import wrapping_spki

T = TypeVar("T")

_MESSAGE = b"from before"
_LABELS = 6
_FIRST_DESTROYED = 3
"""The step in which the first key is destroyed; two keys are made before."""
_IMPORTED = "ECDSA_P256"
_SHARE = 0.7
"""Of the time that a change takes, in which it is interrupted."""


@check(103, group=Group.DURABILITY, level=Level.DURABLE, per=Per.ALGORITHM, calls=6, needs=("find_key",))
def opened_again_has_its_keys(bench: Bench, target: Target) -> None:
    """A backend that is opened again has the keys that it had, at the same addresses; they work, and stay inside."""
    key = bench.key(target.name)
    with bench.another() as again:
        found = _whole(bench, key.reference.label, again, "when the backend was opened again")
        expect(found == key.reference, "when the backend was opened again, a key was missing, or elsewhere")
        if key.spki and again.has("public_key"):
            expect(again.public_key(key.reference) == key.spki, "opened again, a key has another public key")
        works(bench, key, again)
        if again.has("wrap_key"):
            what = "wrapping a key that is not exportable, when the backend was opened again,"
            wrap = partial(again.wrap_key, key.reference, wrapping_spki(), RSA_AES_KEY_WRAP_SHA256)
            refused(CapabilityUnsupported, what, wrap)


@check(104, group=Group.DURABILITY, level=Level.DURABLE, calls=90, keys=30, needs=("create_key", "destroy_key"))
def killed_process_leaves_whole_keys(bench: Bench, target: Target) -> None:
    """If a process is killed while it makes and destroys keys, what was reported as done is done, the rest whole."""
    algorithm = any_algorithm(bench)
    seconds = _seconds_to_make(bench, algorithm)
    for _ in range(bench.budget.rounds):
        labels = [bench.label() for _ in range(_LABELS)]
        step = bench.random.randint(_FIRST_DESTROYED, _LABELS)
        steps = killed_within(bench, seconds, create_and_destroy, labels, algorithm, after=step)
        present, absent = _certain(labels, steps)
        with bench.another() as again:
            there = {label: _whole(bench, label, again, "after a kill") for label in labels}
            lost = [at for at in present if not (there[at] or eventually(partial(bench.exists, at, again)))]
            expect(not lost, f"after a kill, {len(lost)} keys are gone that had been reported as made")
            back = [label for label in absent if there[label] is not None]
            expect(not back, f"after a kill, {len(back)} keys are there that are destroyed, or were never asked for")
            _listed_are_found(again)
            for reference in filter(None, there.values()):
                again.destroy_key(reference)


@check(
    105, group=Group.DURABILITY, level=Level.DURABLE, calls=60, keys=8, needs=("create_key", "destroy_key"),
    optional=("setrlimit",),
)  # fmt: skip
def failed_write_leaves_no_half_key(bench: Bench, target: Target) -> None:
    """If nothing can be written, as on a full disk, each change is made or not made, and every key is whole."""
    if sys.platform == "win32":
        raise Unsupported("setrlimit", "processes of this system cannot be kept from writing files")
    algorithm = any_algorithm(bench)
    bench.destroy(bench.make(algorithm))
    before = files(bench)
    kept = bench.make(algorithm)
    todo = tuple(changes(bench, algorithm, kept))
    with bench.child(without_space, todo) as child:
        child.go()
        outcomes = answer_of(child)
    with bench.another() as again:
        for change, outcome in zip(todo, outcomes, strict=True):
            if judge(bench, again, change, outcome) is change.before:
                _repeated(change.prepared(again), "failed")
                expect(
                    condition(bench, again, change) is change.after,
                    f"{change.what} again, when there is room, was reported as done, and is not",
                )
        works(bench, kept, again)
        _listed_are_found(again)
        for label in (kept.reference.label, *(change.label for change in todo if change.after is not Condition.GONE)):
            again.destroy_key(again.find_key(label))
    expect_no_others(bench, before, "destroying keys after writes that failed")


@check(106, group=Group.DURABILITY, level=Level.DURABLE, calls=14, keys=3, needs=("create_key", "destroy_key"))
def repeated_after_opening_changes_nothing(bench: Bench, target: Target) -> None:
    """What was done before the backend was closed can be asked for again after it is opened, with the same answer."""
    algorithm = any_algorithm(bench)
    with bench.another() as first:
        kept = bench.make(algorithm, subject=first)
        gone = bench.make(algorithm, subject=first)
        state = first.destroy_key(gone.reference)
    with bench.another() as again:
        expect(
            bench.make(algorithm, label=kept.reference.label, subject=again) == kept,
            "asked again, it made another key",
        )
        works(bench, kept, again)
        refused(KeyNotFound, "finding a key destroyed before", partial(again.find_key, gone.reference.label))
        expect(again.destroy_key(gone.reference) == state, "asked again, it destroyed a key in another way")
        again.destroy_key(kept.reference)
    expect(not bench.exists(kept.reference.label), "a key that another handle destroyed is still found")


@check(107, group=Group.DURABILITY, level=Level.DURABLE, calls=30, keys=8, needs=("create_key", "find_key"))
def interrupted_call_can_be_repeated(bench: Bench, target: Target) -> None:
    """A creation or an import whose answer never came can be made again, and there is one whole key in the end."""
    algorithm = any_algorithm(bench)
    seconds = _seconds_to_make(bench, algorithm)
    before = files(bench)
    for _ in range(bench.budget.rounds):
        label = bench.label()
        killed_within(bench, _SHARE * seconds, create_slowly, label, algorithm)
        with bench.another() as again:
            made = _repeated(partial(again.create_key, label, algorithm), "was interrupted")
            _only(bench, again, bench.made(made))
    expect_no_others(bench, before, "destroying keys whose creation was interrupted")
    if bench.subject.has("import_key"):
        _interrupted_import(bench)


def _interrupted_import(bench: Bench) -> None:
    if _IMPORTED not in {support.algorithm for support in bench.subject.description.algorithms}:
        return
    private = ec.generate_private_key(ec.SECP256R1())
    try:
        seconds = _seconds_to_import(bench, pkcs8_of(private))
    except CapabilityUnsupported:
        return
    before = files(bench)
    for _ in range(bench.budget.rounds):
        label = bench.label()
        killed_within(bench, _SHARE * seconds, import_slowly, label, _IMPORTED, pkcs8_of(private))
        with bench.another() as again:
            if _whole(bench, label, again, "after a kill") is None:
                ticket = again.begin_import(label, _IMPORTED)
                call = partial(again.import_key, ticket, wrapped(pkcs8_of(private), ticket))
                _repeated(call, "was interrupted")
            found = again.find_key(label)
            expect(found.algorithm == _IMPORTED, "an import that was interrupted left a key of another algorithm")
            _only(bench, again, Key(reference=found, spki=spki_of(private)))
    expect_no_others(bench, before, "destroying keys whose import was interrupted")


def _seconds_to_make(bench: Bench, algorithm: str) -> float:
    started = time.monotonic()
    bench.destroy(bench.make(algorithm))
    return time.monotonic() - started


def _seconds_to_import(bench: Bench, secret: bytes) -> float:
    ticket = bench.subject.begin_import(bench.label(), _IMPORTED)
    blob = wrapped(secret, ticket)
    started = time.monotonic()
    key = bench.made(bench.subject.import_key(ticket, blob))
    seconds = time.monotonic() - started
    bench.destroy(key)
    return seconds


def _certain(labels: list[KeyLabel], steps: int) -> tuple[list[KeyLabel], list[KeyLabel]]:
    """Return which keys must be there after so many steps of `create_and_destroy`, and which must not."""
    changes = [("create", labels[0])]
    for before, label in pairwise(labels):
        changes += [("create", label), ("destroy", before)]
    done, open_, later = changes[:steps], changes[steps : steps + 1], changes[steps + 1 :]
    unclear = {label for _, label in open_}
    destroyed = {label for kind, label in done if kind == "destroy"}
    made = {label for kind, label in done if kind == "create"}
    never = {label for kind, label in later if kind == "create"}
    return list(made - destroyed - unclear), list((destroyed | never) - unclear)


def _whole(bench: Bench, label: KeyLabel, subject: Subject, when: str) -> KeyReference | None:
    """Return the key of a label, found and used; ``None`` if there is none."""
    try:
        reference = subject.find_key(label)
        public = subject.public_key(reference) if get_algorithm(reference.algorithm).signs else b""
        works(bench, Key(reference=reference, spki=public), subject)
    except KeyNotFound:
        return None
    except KeyclaveError as error:
        raise Violation(f"{when}, a key is neither there nor gone: using it raised {type_name(error)}") from error
    return reference


def _listed_are_found(subject: Subject) -> None:
    if not subject.has("list_keys"):
        return
    try:
        for reference in subject.list_keys():
            expect(subject.find_key(reference.label) == reference, "a listed key is found elsewhere")
    except KeyclaveError as error:
        raise Violation(f"listing the keys and finding each of them raised {type_name(error)}") from error


def _repeated(call: Callable[[], T], how: str) -> T:
    """Repeat a call that was interrupted or failed, for as long as the backend asks to wait."""
    done: list[T] = []
    refusals: list[KeyclaveError] = []

    def ends() -> bool:
        try:
            done.append(call())
        except KeyclaveError as error:
            refusals.append(error)
            return not error.retryable
        return True

    eventually(ends)
    if not done:
        raise Violation(f"repeating a call that {how} raised {type_name(refusals[-1])}") from refusals[-1]
    return done[0]


def _only(bench: Bench, subject: Subject, key: Key) -> None:
    """Expect that a key works and is the only one of its label, and destroy it."""
    works(bench, key, subject)
    if subject.has("list_keys"):
        count = sum(found.label == key.reference.label for found in subject.list_keys())
        expect(count == 1, f"repeating a call that was interrupted left {count} keys of one label")
    subject.destroy_key(key.reference)
