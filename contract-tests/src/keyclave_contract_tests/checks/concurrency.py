"""Threads, handles and processes that use the backend at the same moment do not get into each other's way."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from keyclave.errors import (
    CapabilityUnsupported,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
    KeyStateError,
    OutcomeUnknown,
)
from keyclave.plugin import CreatedKey, KeyLabel, KeyReference

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.linearizable import Event, Kind, linearizable
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.threads import outcomes_of, together
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused, type_name
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.waiting import WINDOW, eventually

_THREADS = 4
_FIRST_USE = 0.3
_GONE = (KeyNotFound, KeyDisabled)
_UNCLEAR = (KeyStateError, CapabilityUnsupported, OutcomeUnknown)
"""After these nobody knows whether a call that raced with others took effect, and for how long."""
_PATIENCE = 10.0
_IN_A_FORK = 3


@check(10, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=60, keys=15, needs=("create_key", "list_keys"))
def list_is_complete_during_creation(bench: Bench, target: Target) -> None:
    """While keys are being made, every list holds each key that was there before, once."""
    algorithm = bench.cheapest(signs=False) or any_algorithm(bench)
    before = {bench.make(algorithm).reference for _ in range(3)}
    made: list[Key] = []
    over = threading.Event()

    def create() -> None:
        try:
            made.extend(bench.make(algorithm) for _ in range(4 * bench.budget.rounds))
        finally:
            over.set()

    def look() -> None:
        while not over.wait(0.002):
            listed = bench.subject.list_keys()
            missing = len(before - set(listed))
            expect(not missing, f"while keys were made, {missing} of {len(before)} older ones were not listed")
            expect(len(listed) == len(set(listed)), "while keys were made, one was listed twice")

    together(create, look)
    for reference in (*before, *(key.reference for key in made)):
        bench.subject.destroy_key(reference)


@check(96, group=Group.CONCURRENCY, level=Level.PARALLEL, per=Per.ALGORITHM, calls=24)
def threads_do_not_mix(bench: Bench, target: Target) -> None:
    """When threads share a handle, each gets the signature over its own message, and its own plaintext back."""
    key = bench.key(target.name)
    for _ in range(bench.budget.rounds):
        together(*(partial(_own, bench, key, number, bench.subject) for number in range(_THREADS)))


@check(97, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=40, needs=("find_key",))
def handles_do_not_mix(bench: Bench, target: Target) -> None:
    """Threads with a handle each get what is their own, and each handle uses what another one made."""
    names = [name for name in (bench.cheapest(signs=True), bench.cheapest(signs=False)) if name]
    with ExitStack() as handles:
        subjects = [handles.enter_context(bench.another()) for _ in range(_THREADS)]
        for name in names:
            key = bench.key(name)
            for subject in subjects:
                seen = eventually(partial(bench.exists, key.reference.label, subject))
                expect(seen, f"another handle does not find a key {WINDOW:g} s after it was opened")
            for _ in range(bench.budget.rounds):
                together(*(partial(_own, bench, key, *each) for each in enumerate(subjects)))


@check(98, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=20, keys=2, needs=("create_key", "find_key"))
def processes_see_each_other(bench: Bench, target: Target) -> None:
    """What one process makes or destroys is seen by another that had the backend open before."""
    algorithm = any_algorithm(bench)
    label = bench.label()
    with bench.child(_create, label, algorithm) as child:
        child.go()
        key = bench.made(_answer(child.result(), "making a key in another process"))
    expect(
        eventually(partial(bench.exists, label)),
        f"a key of another process is not found {WINDOW:g} s after it was made",
    )
    works(bench, key)
    with bench.child(_wait_for_the_end, key.reference, _work_on(bench, key)) as child:
        child.go()
        time.sleep(_FIRST_USE)
        bench.destroy(key)
        ended = _answer(child.result(), "using a key in another process")
    expect(ended, f"another process still uses a key {WINDOW:g} s after it was destroyed")


@check(99, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=45, keys=12, needs=("create_key", "find_key"))
def one_label_makes_one_key(bench: Bench, target: Target) -> None:
    """When a key is asked for several times at the same moment, all get the same one, and there is one."""
    algorithm = any_algorithm(bench)
    with bench.another() as other:
        for _ in range(bench.budget.rounds):
            label = bench.label()
            made = together(
                *(partial(_raced, subject, label, algorithm) for subject in (bench.subject, other) * (_THREADS // 2))
            )
            answers = {(key.reference, key.public_key) for key in made if key is not None}
            expect(answers, "a key was asked for several times at once, and nobody got it")
            expect(len(answers) == 1, f"one label, asked for {_THREADS} times at once, gave {len(answers)} keys")
            if bench.subject.has("list_keys"):
                count = sum(key.label == label for key in bench.subject.list_keys())
                expect(count == 1, f"one label, asked for {_THREADS} times at once, is listed {count} times")
            key = bench.made(next(key for key in made if key is not None))
            works(bench, key)
            bench.destroy(key)


@check(
    100,
    group=Group.CONCURRENCY,
    level=Level.PARALLEL,
    calls=72,
    keys=20,
    needs=("create_key", "find_key", "destroy_key"),
)
def histories_are_linearizable(bench: Bench, target: Target) -> None:
    """Whatever threads see while they make, find and destroy the same keys, some order of the calls explains it."""
    algorithm = any_algorithm(bench)
    kinds: list[Kind] = ["create", "find", "destroy"]
    for _ in range(bench.budget.rounds):
        labels = [bench.label() for _ in range(2)]
        plans = [
            [(bench.random.choice(kinds), bench.random.choice(labels)) for _ in range(2 * _THREADS)]
            for _ in range(_THREADS - 1)
        ]
        histories = together(*(partial(_carried_out, bench.subject, algorithm, plan) for plan in plans))
        for label in labels:
            history = [event for events in histories for at, event in events if at == label]
            expect(linearizable(history), "no order of the calls on one key explains what threads saw of it")


@check(101, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=20, needs=("find_key",))
def refused_calls_hold_nothing_up(bench: Bench, target: Target) -> None:
    """After threads made calls that were refused and ended, other threads are not kept waiting."""
    key = bench.key(any_algorithm(bench))

    def mistake() -> None:
        create = partial(bench.subject.create_key, bench.labels.new(), "NO_SUCH_ALGORITHM")
        refused(KeyclaveError, "creating a key of no algorithm", create)
        refused(KeyNotFound, "finding a key that was never made", partial(bench.subject.find_key, bench.labels.new()))
        wrong = partial(bench.subject.sign, key.reference, b"", "NO_SUCH_SCHEME")
        refused(KeyclaveError, "signing with no scheme", wrong)

    for call in (mistake, partial(works, bench, key)):
        try:
            outcomes = outcomes_of([call] * _THREADS, seconds=_PATIENCE)
        except Violation:
            raise Violation(f"after a call that was refused, others were kept waiting for {_PATIENCE:g} s") from None
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome


@check(102, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=20, optional=("fork",), security=True)
def fork_shares_no_state(bench: Bench, target: Target) -> None:
    """A process that forks goes on working, and its child works, too, or is refused; they never use one nonce."""
    if not hasattr(os, "fork"):
        raise Unsupported("fork", "processes of this system do not fork")
    for name in filter(None, (bench.cheapest(signs=True), bench.cheapest(signs=False))):
        key = bench.key(name)
        with bench.child(_forked, key.reference, _work_on(bench, key)) as child:
            child.go()
            own, theirs = _answer(child.result(), "using a key in a process that forked")
        expect(len(own) == _IN_A_FORK, "after it forked, a process could not use a key any more")
        made = [*own, *theirs]
        if key.spki:
            _all_valid(bench, key, made)
        if not key.spki or name.startswith("ECDSA"):
            expect(len(set(made)) == len(made), "a process and its fork made the same ciphertext or signature")


def _own(bench: Bench, key: Key, number: int, subject: Subject) -> None:
    """Use a key for what belongs to one thread, twice, and see that it comes back."""
    for turn in range(2):
        message = f"thread {number}, turn {turn}".encode() * (1 + number)
        if key.spki:
            if subject.has("sign"):
                bench.signs(key, message, bench.scheme(key.reference.algorithm), subject)
        elif subject.has("encrypt") and subject.has("decrypt"):
            plaintext = subject.decrypt(key.reference, subject.encrypt(key.reference, message))
            expect(plaintext == message, "a thread got back another plaintext than it had encrypted")


_Work = tuple[bytes, str]
"""What another process is to sign and with which scheme; or what it is to encrypt, and an empty text."""


def _work_on(bench: Bench, key: Key) -> _Work:
    if not key.spki:
        return b"encrypted by another process", ""
    scheme = bench.scheme(key.reference.algorithm)
    return oracle.as_input(b"signed by another process", scheme), scheme.scheme


def _use(subject: Subject, key: KeyReference, work: _Work) -> bytes:
    data, scheme = work
    return subject.sign(key, data, scheme) if scheme else subject.encrypt(key, data)


def _create(subject: Subject, label: KeyLabel, algorithm: str) -> CreatedKey:
    return subject.create_key(label, algorithm)


def _wait_for_the_end(subject: Subject, key: KeyReference, work: _Work) -> bool:
    """Use a key until it is gone, and return whether that came to be."""

    def refused_now() -> bool:
        try:
            _use(subject, key, work)
        except _GONE:
            return True
        return False

    return eventually(refused_now)


def _forked(subject: Subject, key: KeyReference, work: _Work) -> tuple[list[bytes], list[bytes]]:
    """Fork, use a key on both sides, and return what each side made; the other side may be refused."""
    _use(subject, key, work)
    receiving, sending = os.pipe()
    if not os.fork():
        theirs: list[bytes] = []
        try:
            theirs = [_use(subject, key, work) for _ in range(_IN_A_FORK)]
        finally:
            os.write(sending, pickle.dumps(theirs))
            os._exit(0)
    os.close(sending)
    own = [_use(subject, key, work) for _ in range(_IN_A_FORK)]
    with os.fdopen(receiving, "rb") as answer:
        theirs = pickle.loads(answer.read() or pickle.dumps([]))  # noqa: S301  our own fork
    os.wait()
    return own, theirs


def _all_valid(bench: Bench, key: Key, signatures: list[bytes]) -> None:
    scheme = bench.scheme(key.reference.algorithm)
    for signature in signatures:
        public = oracle.in_public_form(signature, scheme)
        valid = oracle.is_valid(key.spki, scheme.scheme, b"signed by another process", public)
        expect(valid, "a signature of a process that forked does not verify")


def _answer(answer: Any, what: str) -> Any:
    """Return what a child returned; an error that it raised is a violation."""
    if isinstance(answer, KeyclaveError):
        raise Violation(f"{what} raised {type_name(answer)}") from answer
    if isinstance(answer, Exception):
        raise Violation(f"{what} raised {type(answer).__name__}") from answer
    return answer


def _raced(subject: Subject, label: KeyLabel, algorithm: str) -> CreatedKey | None:
    """Ask for a key; return ``None`` if somebody else was in the way, which Keyclave would repeat."""
    try:
        return subject.create_key(label, algorithm)
    except KeyStateError:
        return None


def _carried_out(
    subject: Subject, algorithm: str, plan: Sequence[tuple[Kind, KeyLabel]]
) -> list[tuple[KeyLabel, Event]]:
    """Make calls one after the other, and return what came of each; what is to be destroyed is found first."""
    events: list[tuple[KeyLabel, Event]] = []
    for kind, label in plan:
        if kind == "create":
            events.append((label, _timed(kind, partial(_described, subject, label, algorithm))))
            continue
        found: list[KeyReference] = []
        events.append((label, _timed("find", partial(_found, subject, label, found))))
        if kind == "destroy" and found:
            events.append((label, _timed(kind, partial(_destroyed, subject, found[0]))))
    return events


def _timed(kind: Kind, call: Callable[[], str]) -> Event:
    start, saw, known = time.monotonic(), "", True
    try:
        saw = call()
    except _UNCLEAR:
        known = False
    return Event(kind=kind, start=start, end=time.monotonic(), saw=saw, known=known)


def _described(subject: Subject, label: KeyLabel, algorithm: str) -> str:
    made = subject.create_key(label, algorithm)
    return f"{made.reference.uri} {(made.public_key or b'').hex()}"


def _found(subject: Subject, label: KeyLabel, found: list[KeyReference]) -> str:
    try:
        found.append(subject.find_key(label))
    except KeyNotFound:
        return ""
    return found[0].uri


def _destroyed(subject: Subject, key: KeyReference) -> str:
    subject.destroy_key(key)
    return key.uri
