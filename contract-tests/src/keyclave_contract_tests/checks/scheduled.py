"""A destruction says when it takes place, and one that is scheduled can be called off."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from keyclave.errors import KeyDisabled, KeyNotFound
from keyclave.plugin import DestroyState

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.uses import any_algorithm, attempt, elsewhere, works
from keyclave_contract_tests.violations import Unsupported, expect, refused
from keyclave_contract_tests.vocabulary import Group, Level


@check(17, group=Group.KEYS, level=Level.CORE, calls=2, keys=1, needs=("destroy_key",))
def destruction_says_when(bench: Bench, target: Target) -> None:
    """The result of destroying a key names a date in the future exactly if it is scheduled."""
    key = bench.make(any_algorithm(bench))
    result = bench.subject.destroy_key(key.reference)
    when = result.scheduled_for
    if result.state is DestroyState.DESTROYED:
        expect(when is None, "a destroyed key has a date on which it will be destroyed")
        return
    expect(when is not None and when.tzinfo is not None, "a scheduled destruction has no date with a time zone")
    expect(when is None or when > datetime.now(UTC), "a key is to be destroyed in the past")


@check(20, group=Group.KEYS, level=Level.CORE, calls=5, keys=1, needs=("destroy_key",), optional=("destroy_key",))
def scheduled_key_is_refused(bench: Bench, target: Target) -> None:
    """A key that is scheduled to be destroyed is refused for every use, and keeps its date."""
    algorithm = any_algorithm(bench)
    key = bench.make(algorithm)
    first = bench.subject.destroy_key(key.reference)
    if first.state is DestroyState.DESTROYED:
        raise Unsupported("destroy_key", "the backend destroys keys at once")
    support = next(s for s in bench.subject.description.algorithms if s.algorithm == algorithm)
    for what, call in attempt(bench, key, Target(algorithm=support), uses_only=True):
        refused((KeyNotFound, KeyDisabled), f"{what} with a key that is scheduled to be destroyed", call)
    expect(bench.subject.destroy_key(key.reference) == first, "destroying it again moved the date")


@check(
    133, group=Group.KEYS, level=Level.CORE, calls=16, keys=1,
    needs=("destroy_key", "cancel_destruction", "find_key"), optional=("destroy_key",),
)  # fmt: skip
def cancelled_destruction_keeps_the_key(bench: Bench, target: Target) -> None:
    """A key whose destruction is called off is there again, unchanged and disabled, until it is enabled."""
    subject, algorithm = bench.subject, any_algorithm(bench)
    key = bench.make(algorithm)
    if subject.destroy_key(key.reference).state is DestroyState.DESTROYED:
        raise Unsupported("destroy_key", "the backend destroys keys at once")
    for _ in range(2):
        subject.cancel_destruction(key.reference)
    expect(bench.exists(key.reference.label), "a key whose destruction was called off is not found")
    found = subject.find_key(key.reference.label)
    expect(found == key.reference, "a key whose destruction was called off is found at another address")
    if subject.has("list_keys"):
        listed = subject.list_keys().count(found)
        expect(listed == 1, f"a key whose destruction was called off is listed {listed} times")
    support = next(s for s in subject.description.algorithms if s.algorithm == algorithm)
    for what, call in attempt(bench, key, Target(algorithm=support), uses_only=True):
        refused(KeyDisabled, f"{what} with a key whose destruction was called off", call)
    if subject.has("enable_key"):
        subject.enable_key(key.reference)
        works(bench, key)
        subject.cancel_destruction(key.reference)
        works(bench, key)
    ghost = elsewhere(key.reference, bench.labels.new())
    refused(
        KeyNotFound,
        "calling off the destruction of a key that was never made",
        partial(subject.cancel_destruction, ghost),
    )
    bench.destroy(key)
