"""Several threads and handles use the backend at once, and each gets what it asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

from keyclave.plugin import KeyLabel

from keyclave_contract_tests import errands, oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Per, Target, check
from keyclave_contract_tests.elsewhere import answer_of, second_handle
from keyclave_contract_tests.histories import has_an_order
from keyclave_contract_tests.recorder import CALLS, Recorder
from keyclave_contract_tests.subject import Subject
from keyclave_contract_tests.threads import together
from keyclave_contract_tests.undisturbed import undisturbed
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import expect
from keyclave_contract_tests.vocabulary import Group, Level

_THREADS = 4
_EACH = 4
_STAYING = 6
_CALLS = 4
_LISTS = 4
_CHANGES = 8


@check(10, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=60, keys=20, needs=("list_keys", "destroy_key"))
def list_is_whole_while_keys_come_and_go(bench: Bench, target: Target) -> None:
    """While other keys are made and destroyed, every list holds each key that stays exactly once."""
    algorithm = any_algorithm(bench)
    staying = [bench.make(algorithm) for _ in range(_STAYING)]
    enough = threading.Event()

    def change() -> None:
        there = bench.make(algorithm)
        for _ in range(_CHANGES * bench.budget.rounds):
            # There is always one, so that every list holds a key that is gone a moment later.
            there, before = bench.make(algorithm), there
            bench.destroy(before)
            if enough.is_set():
                break
        bench.destroy(there)

    def look() -> None:
        try:
            for _ in range(_LISTS * bench.budget.rounds):
                _holds_once(_listed(bench, lambda: None), staying)
        finally:
            enough.set()

    _holds_once(_listed(bench, _coming_and_going(bench, algorithm)), staying)
    together(change, look)
    for key in staying:
        bench.destroy(key)


@check(96, group=Group.CONCURRENCY, level=Level.PARALLEL, per=Per.SIGNING, calls=_THREADS * _EACH, needs=("sign",))
def threads_get_their_own_signatures(bench: Bench, target: Target) -> None:
    """When threads sign at once with one handle, each gets the signature over its own message."""
    key, scheme = bench.key(target.name), bench.scheme(target.name)

    def sign(thread: int) -> None:
        for number in range(_EACH):
            message = b"message %d of thread %d" % (number, thread)
            signature = undisturbed("signing in several threads", partial(bench.sign, key, message, scheme))
            expect(
                oracle.is_valid(key.spki, scheme.scheme, message, signature),
                f"with {_THREADS} threads at work, one got a signature that is not over its message",
            )

    together(*(partial(sign, thread) for thread in range(_THREADS)))


@check(97, group=Group.CONCURRENCY, level=Level.PARALLEL, per=Per.ALGORITHM, calls=16, needs=("find_key",))
def handles_work_side_by_side(bench: Bench, target: Target) -> None:
    """Two handles that are open at once, with two threads each, find two keys and use them, and mix nothing up."""
    keys = (bench.key(target.name), bench.key(any_algorithm(bench), 1))

    def use(subject: Subject, thread: int) -> None:
        key = keys[thread // 2]
        found = undisturbed("finding a key in several handles", partial(subject.find_key, key.reference.label))
        expect(found == key.reference, "a key has another address in another handle, or beside another thread")
        if key.spki and subject.has("public_key"):
            ask = partial(subject.public_key, key.reference)
            spki = undisturbed("asking for a public key in several handles", ask)
            expect(spki == key.spki, "a key has another public key in another handle, or beside another thread")
        message = b"what thread %d works on" % thread
        undisturbed("using a key in several handles", partial(works, bench, key, subject, message))

    with second_handle(bench) as other:
        together(*(partial(use, (bench.subject, other)[thread % 2], thread) for thread in range(_THREADS)))


@check(99, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=24, keys=12, needs=("create_key",))
def one_label_makes_one_key(bench: Bench, target: Target) -> None:
    """When threads, handles and processes create under one label at once, all of them get the same one key."""
    algorithm = any_algorithm(bench)
    with second_handle(bench) as other:
        for _ in range(bench.budget.rounds):
            label = bench.label()
            create = [partial(_created, bench, subject, label, algorithm) for subject in (bench.subject, other) * 2]
            _are_one(bench, together(*create), "threads")
    label = bench.label()
    with ExitStack() as stack:
        children = [stack.enter_context(bench.child(errands.create, label, algorithm)) for _ in range(2)]
        for child in children:
            child.go()
        own = _created(bench, bench.subject, label, algorithm)
        _are_one(bench, [own, *(bench.made(answer_of(child)) for child in children)], "processes")


@check(
    100, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=40, keys=20,
    needs=("create_key", "find_key", "destroy_key"),
)  # fmt: skip
def history_has_an_order(bench: Bench, target: Target) -> None:
    """What threads see that create, find and destroy under one label could have happened one call after the other."""
    algorithm = any_algorithm(bench)
    for _ in range(bench.budget.rounds):
        label = bench.label()
        scripts = [["create", *bench.random.choices(CALLS, k=_CALLS)] for _ in range(_THREADS - 1)]
        recorders = (Recorder(bench.subject, label, algorithm) for _ in scripts)
        seen = together(*(partial(r.perform, script) for r, script in zip(recorders, scripts, strict=True)))
        bench.version(label)  # which of a creation and a destruction came last is not known here
        events = sorted((event for own in seen for event in own), key=lambda event: event.ended)
        bench.example = ", ".join(event.answer.value for event in events)
        expect(has_an_order(events), "what threads saw of one label cannot have happened one call after the other")
        if bench.exists(label):
            bench.subject.destroy_key(bench.subject.find_key(label))
    bench.example = None


def _listed(bench: Bench, between: Callable[[], object]) -> list[KeyLabel]:
    """Return what is listed, page by page, with something happening after each page."""
    labels: list[KeyLabel] = []
    token: str | None = None
    while True:
        page = undisturbed("listing while keys come and go", partial(bench.subject.page, token))
        labels += [key.label for key in page.keys]
        between()
        token = page.next_page
        if token is None:
            return labels


def _coming_and_going(bench: Bench, algorithm: str) -> Callable[[], None]:
    """Return what makes a key on the first call, destroys it on the second, and so on."""
    there: list[Key] = []

    def change() -> None:
        if there:
            bench.destroy(there.pop())
        else:
            there.append(bench.make(algorithm))

    return change


def _holds_once(listed: list[KeyLabel], staying: Iterable[Key]) -> None:
    for key in staying:
        times = listed.count(key.reference.label)
        expect(times == 1, f"while others came and went, a key that stayed was listed {times} times")


def _created(bench: Bench, subject: Subject, label: KeyLabel, algorithm: str) -> Key:
    return undisturbed(
        "creating a key at once with others", partial(bench.make, algorithm, label=label, subject=subject)
    )


def _are_one(bench: Bench, keys: list[Key], who: str) -> None:
    """Expect that all keys are the same one, that it is there, and destroy it."""
    expect(len(set(keys)) == 1, f"{who} that created under one label at once got {len(set(keys))} different keys")
    works(bench, keys[0])
    if bench.subject.has("list_keys"):
        times = sum(k.label == keys[0].reference.label for k in bench.subject.list_keys())
        expect(times == 1, f"after {who} created under one label at once, it is listed {times} times")
    bench.destroy(keys[0])
