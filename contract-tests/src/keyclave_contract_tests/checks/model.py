"""The whole of the backend: calls in any order, calls without end, and what is left when all is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median

from keyclave.errors import CapabilityUnsupported, KeyclaveError
from keyclave.plugin import KeyLabel

from keyclave_contract_tests import oracle
from keyclave_contract_tests.bench import Bench, Key
from keyclave_contract_tests.catalogue import Target, check
from keyclave_contract_tests.elsewhere import done_elsewhere
from keyclave_contract_tests.held import ENOUGH, ROUNDS, Use, grown, held_by_using
from keyclave_contract_tests.lineages import in_version
from keyclave_contract_tests.machine import run_machine, run_script
from keyclave_contract_tests.uses import any_algorithm, works
from keyclave_contract_tests.violations import Violation, expect, type_name
from keyclave_contract_tests.vocabulary import Group, Level

_SHARE = 4
_SECONDS = 15.0
"""What may be spent on counting what is left of calls, about."""
_FEW = 5
_SLOWER, _MORE = 4, 0.05
"""How many times slower, and how many seconds slower besides, calls must have become to be told from chance."""


@check(118, group=Group.MODEL, level=Level.CORE, calls=700, keys=2, needs=("create_key",))
def use_does_not_slow_down(bench: Bench, target: Target) -> None:
    """However often a key is used, calls take no longer, and no open file, thread or memory is left of them."""
    key = bench.make(any_algorithm(bench))
    times = [_seconds(lambda: works(bench, key)) for _ in range(max(2 * _FEW, bench.budget.repeats // _SHARE))]
    first, last = median(times[:_FEW]), median(times[-_FEW:])
    bench.observe(
        f"Using a key of {key.reference.algorithm} took {1000 * median(times):.2f} ms, median of {len(times)}."
    )
    expect(
        last <= _SLOWER * first + _MORE,
        f"after {len(times)} uses a key is slower: {1000 * last:.0f} ms, where it was {1000 * first:.0f} ms",
    )
    _leaves_nothing(bench, key, median(times))
    bench.destroy(key)


@check(119, group=Group.MODEL, level=Level.CORE, calls=24, keys=4, needs=("create_key", "destroy_key"), last=True)
def nothing_is_left(bench: Bench, target: Target) -> None:
    """When the run has destroyed its keys, in whichever state they were, none of them is found or listed."""
    made = _one_of_each_state(bench)
    with bench.meter.free():
        listed = [key.label for key in bench.subject.list_keys()] if bench.subject.has("list_keys") else []
        for label in {*bench.journal.labels, *listed, *(key.reference.label for key in made)}:
            if label.instance_id == bench.labels.instance() and bench.exists(label):
                _destroyed(bench, label)
        left = sum(bench.exists(key.reference.label) for key in made)
        expect(not left, f"{left} keys are still found after they were destroyed")
        if bench.subject.has("list_keys"):
            count = len(bench.subject.list_keys())
            expect(not count, f"{count} keys are still listed after all were destroyed")


@check(120, group=Group.MODEL, level=Level.CORE, calls=420, keys=40, needs=("create_key", "find_key", "destroy_key"))
def any_order_of_calls_fits_the_model(bench: Bench, target: Target) -> None:
    """Keys that are made, rotated, used, disabled and destroyed in any order are always as the calls made them."""
    run_script(bench)
    run_machine(bench, bench.random.getrandbits(32))


def _leaves_nothing(bench: Bench, key: Key, seconds: float) -> None:
    """Expect that a process that goes on using a key, for ``seconds`` each time, comes to hold nothing more."""
    wished, possible = max(ENOUGH, bench.budget.repeats // (ROUNDS - 1)), int(_SECONDS / (ROUNDS * seconds))
    uses = max(_FEW, min(wished, possible))
    scheme = bench.scheme(key.reference.algorithm) if key.spki and bench.subject.has("sign") else None
    use = Use(
        label=bench.label(),
        algorithm=key.reference.algorithm,
        scheme=None if scheme is None else scheme.scheme,
        data=b"" if scheme is None else oracle.as_input(b"", scheme),
        missing=bench.label(),
    )
    held = done_elsewhere(bench, held_by_using, use, uses)
    bench.journal.gone(use.missing)
    if bench.subject.has("destroy_key"):
        bench.journal.gone(use.label)
    more = grown(held, uses)
    expect(not more, f"with every {uses} uses of a key, and as many refused ones, there are {' and '.join(more)}")


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _one_of_each_state(bench: Bench) -> list[Key]:
    """Return new keys: as they are made, in a second version, and disabled where the backend disables keys."""
    algorithm = any_algorithm(bench)
    fresh = bench.make(algorithm)
    second = bench.make(algorithm, label=in_version(bench, fresh.reference.label, 2))
    made = [fresh, second]
    secret = bench.cheapest(signs=False)
    if secret is not None:
        made.append(bench.make(secret))
    if bench.subject.has("disable_key"):
        made.append(bench.make(algorithm))
        with suppress(CapabilityUnsupported):
            bench.subject.disable_key(made[-1].reference)
    return made


def _destroyed(bench: Bench, label: KeyLabel) -> None:
    try:
        bench.subject.destroy_key(bench.subject.find_key(label))
    except KeyclaveError as error:
        raise Violation(f"destroying a key of the run raised {type_name(error)}") from error
