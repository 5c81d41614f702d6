"""Several processes use the backend at once: each sees what others do, and survives their end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from keyclave.errors import KeyclaveError, KeyDisabled, KeyNotFound

from keyclave_contract_tests import errands, forks, oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.elsewhere import answer_of, done_elsewhere
from keyclave_contract_tests.forks import Task, Work
from keyclave_contract_tests.keystreams import share_a_keystream
from keyclave_contract_tests.undisturbed import undisturbed
from keyclave_contract_tests.uses import any_algorithm, attempt, works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused, type_name
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.waiting import SECONDS, eventually

_BEFORE, _CHILD, _PARENT = range(3)
_WHO = ("before a fork, the process", "the child of a fork", "after a fork, the parent")


@check(
    98, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=20, keys=1, needs=("create_key", "find_key"),
)  # fmt: skip
def other_processes_change_keys(bench: Bench, target: Target) -> None:
    """A key that another process makes, disables or destroys is so for this one, too, within seconds."""
    algorithm = any_algorithm(bench)
    label = bench.label()
    key = bench.made(done_elsewhere(bench, errands.create, label, algorithm))
    found = eventually(lambda: bench.exists(label))
    expect(found, f"a key that another process made is not found within {SECONDS:g} s")
    works(bench, key)
    if bench.subject.has("disable_key"):
        done_elsewhere(bench, errands.disable, key.reference)
        _is_refused(bench, key, "disabled")
        bench.subject.enable_key(key.reference)
        works(bench, key)
    done_elsewhere(bench, errands.destroy, key.reference)
    _is_refused(bench, key, "destroyed")
    gone = eventually(lambda: not bench.exists(label))
    expect(gone, f"a key that another process destroyed is still found after {SECONDS:g} s")


@check(101, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=18, keys=6, needs=("create_key",))
def killed_process_keeps_nobody_out(bench: Bench, target: Target) -> None:
    """A process that is killed while it makes and destroys keys leaves nothing locked: others go on."""
    algorithm = any_algorithm(bench)
    for _ in range(bench.budget.rounds):
        started = time.perf_counter()
        bench.destroy(bench.make(algorithm))
        usual = time.perf_counter() - started
        with bench.child(errands.create_and_destroy, bench.label(), algorithm) as child:
            child.go()
            time.sleep(bench.random.uniform(1, 3) * usual)
            child.kill()
        key = undisturbed("creating a key after a process was killed", partial(bench.make, algorithm))
        works(bench, key)
        bench.destroy(key)


@check(
    102, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=8, keys=3, needs=("find_key",), optional=("find_key",),
)  # fmt: skip
def forked_child_repeats_no_secret(bench: Bench, target: Target) -> None:
    """After a fork, a handle works in the parent; in the child it works or is refused, and repeats no secret."""
    if not hasattr(os, "fork"):
        raise Unsupported("find_key", "this system does not fork processes")
    tasks = [_task(bench, text) for text in (b"worked on before", b"worked on by one", b"worked on by two")]
    with bench.child(forks.fork_and_work, *tasks) as process:
        process.go()
        works_done = answer_of(process)
    for who, task, work in zip(_WHO, tasks, works_done, strict=True):
        if work is None:
            raise Violation(f"{who} did not answer within {forks.SECONDS:g} s, or ended")
        _is_right(bench, task, work, who, may_refuse=work is works_done[_CHILD])
    _repeats_nothing(tasks, works_done)
    for task in tasks:
        if bench.exists(task.label):
            bench.subject.destroy_key(bench.subject.find_key(task.label))


def _is_refused(bench: Bench, key: Key, what: str) -> None:
    """Expect that within seconds every use of a key is refused."""
    support = next(s for s in bench.subject.description.algorithms if s.algorithm == key.reference.algorithm)
    for use, call in attempt(bench, key, Target(algorithm=support), uses_only=True):
        noticed = eventually(partial(_refuses, call))
        expect(noticed, f"{use} with a key that another process {what} still works after {SECONDS:g} s")
        refused((KeyNotFound, KeyDisabled), f"{use} with a key that another process {what}", call)


def _refuses(call: Callable[[], object]) -> bool:
    try:
        call()
    except KeyclaveError:
        return True
    return False


def _task(bench: Bench, text: bytes) -> Task:
    signs, encrypts = bench.cheapest(signs=True), bench.cheapest(signs=False)
    return Task(
        label=bench.label(),
        algorithm=any_algorithm(bench),
        text=text,
        signing=(bench.key(signs).reference, bench.scheme(signs)) if signs and bench.subject.has("sign") else None,
        encrypting=bench.key(encrypts).reference if encrypts and bench.subject.has("encrypt") else None,
    )


def _is_right(bench: Bench, task: Task, work: Work, who: str, *, may_refuse: bool) -> None:
    """Expect that what a process made is right, or that it was refused where it may be."""
    for made in (work.spki, work.signature, work.ciphertext):
        if isinstance(made, KeyclaveError) and not may_refuse:
            raise Violation(f"{who} was refused with {type_name(made)}") from made
    if task.signing is not None and isinstance(work.signature, bytes):
        reference, scheme = task.signing
        signature = oracle.in_public_form(work.signature, scheme)
        right = oracle.is_valid(bench.key(reference.algorithm).spki, scheme.scheme, task.text, signature)
        expect(right, f"{who} got a signature that is not over its message")


def _repeats_nothing(tasks: Sequence[Task], done: Sequence[Work]) -> None:
    """Expect that no two processes made the same key, or used the same nonce."""
    made = [work.spki for work in done if isinstance(work.spki, bytes) and work.spki]
    expect(len(set(made)) == len(made), "both processes of a fork made the same key: they share random numbers")
    ciphertexts = [
        (task.text, work.ciphertext)
        for task, work in zip(tasks, done, strict=True)
        if isinstance(work.ciphertext, bytes)
    ]
    expect(not share_a_keystream(ciphertexts), "both processes of a fork encrypted with the same keystream")
    signing = tasks[_PARENT].signing
    if signing is None or not signing[1].scheme.startswith("ECDSA"):
        return
    signatures = [
        oracle.in_public_form(work.signature, signing[1]) for work in done if isinstance(work.signature, bytes)
    ]
    points = [decode_dss_signature(signature)[0] for signature in signatures if signature is not None]
    expect(len(set(points)) == len(points), "both processes of a fork signed with the same ECDSA nonce")
