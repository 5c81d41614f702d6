"""Several processes use the backend at once: each sees what others do, and survives their end."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from keyclave.errors import KeyclaveError
from keyclave.plugin import KeyLabel

from keyclave_contract_tests import errands, forks, oracle
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.elsewhere import answer_of, done_elsewhere
from keyclave_contract_tests.forks import Plan, Task, Work
from keyclave_contract_tests.keystreams import share_a_keystream
from keyclave_contract_tests.undisturbed import undisturbed
from keyclave_contract_tests.uses import any_algorithm, refused_soon, works
from keyclave_contract_tests.violations import Unsupported, Violation, expect, type_name
from keyclave_contract_tests.vocabulary import Group, Level
from keyclave_contract_tests.waiting import SECONDS, eventually

_CHILD = "the child of a fork"
_WHO = ("before a fork, the process", _CHILD, "after a fork, the parent")


@check(98, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=20, keys=1, needs=("create_key", "find_key"))
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
        refused_soon(bench, key, "that another process disabled")
        bench.subject.enable_key(key.reference)
        works(bench, key)
    done_elsewhere(bench, errands.destroy, key.reference)
    refused_soon(bench, key, "that another process destroyed")
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
    102, group=Group.CONCURRENCY, level=Level.PARALLEL, calls=6, keys=5, needs=("find_key",), optional=("find_key",),
    security=True,
)  # fmt: skip
def forked_child_repeats_no_secret(bench: Bench, target: Target) -> None:
    """After a fork, a handle works in the parent, works or is refused in the child, and no key or nonce recurs."""
    if not hasattr(os, "fork"):
        raise Unsupported("find_key", "this system does not fork processes")
    plan, texts = _plan(bench), (b"worked on before", b"worked on by one", b"worked on by two")
    tasks = [Task(label=bench.label(), text=text) for text in texts]
    with bench.child(forks.fork_and_work, plan, *tasks) as process:
        process.go()
        spki, done = answer_of(process)
    for who, text, work in zip(_WHO, texts, done, strict=True):
        if work is None:
            raise Violation(f"{who} did not answer within {forks.SECONDS:g} s, or ended")
        _is_right(plan, spki, text, work, who)
    _repeats_nothing(plan, texts, done)
    _destroy(bench, [task.label for task in tasks])
    _destroy(bench, [keys[0] for keys in (plan.signing, plan.encrypting) if keys is not None])


def _destroy(bench: Bench, labels: Sequence[KeyLabel]) -> None:
    for label in labels:
        if bench.exists(label):
            bench.subject.destroy_key(bench.subject.find_key(label))


def _plan(bench: Bench) -> Plan:
    signs, encrypts = bench.cheapest(signs=True), bench.cheapest(signs=False)
    return Plan(
        signing=(bench.label(), signs, bench.scheme(signs)) if signs and bench.subject.has("sign") else None,
        encrypting=(bench.label(), encrypts) if encrypts and bench.subject.has("encrypt") else None,
        new=any_algorithm(bench),
    )


def _is_right(plan: Plan, spki: bytes, text: bytes, work: Work, who: str) -> None:
    """Expect that what a process made is right, or that it was refused if it is the child."""
    for made in (work.spki, work.signature, work.ciphertext):
        if isinstance(made, KeyclaveError) and who != _CHILD:
            raise Violation(f"{who} was refused with {type_name(made)}") from made
    if plan.signing is not None and isinstance(work.signature, bytes):
        scheme = plan.signing[2]
        right = oracle.is_valid(spki, scheme.scheme, text, oracle.in_public_form(work.signature, scheme))
        expect(right, f"{who} got a signature that is not over its message")


def _repeats_nothing(plan: Plan, texts: Sequence[bytes], done: Sequence[Work]) -> None:
    """Expect that no two processes made the same key, or used the same nonce."""
    made = [work.spki for work in done if isinstance(work.spki, bytes) and work.spki]
    expect(len(set(made)) == len(made), "both processes of a fork made the same key: they share random numbers")
    pairs = zip(texts, (work.ciphertext for work in done), strict=True)
    ciphertexts = [(text, ciphertext) for text, ciphertext in pairs if isinstance(ciphertext, bytes)]
    expect(not share_a_keystream(ciphertexts), "both processes of a fork encrypted with the same keystream")
    if plan.signing is None or not plan.signing[2].scheme.startswith("ECDSA"):
        return
    natives = [work.signature for work in done if isinstance(work.signature, bytes)]
    signatures = [oracle.in_public_form(native, plan.signing[2]) for native in natives]
    points = [decode_dss_signature(signature)[0] for signature in signatures if signature is not None]
    expect(len(set(points)) == len(points), "both processes of a fork signed with the same ECDSA nonce")
