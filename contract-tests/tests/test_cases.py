"""How a case ends, for every way in which a check can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st
from keyclave.errors import BackendUnavailable, IntegrityError, KeyclaveError
from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.cases import run_case
from keyclave_contract_tests.catalogue import Case, Target, catalogue
from keyclave_contract_tests.labels import Labels
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.miniature.backend import NAME, Miniature
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.violations import Unsupported, Violation, expect, refused
from keyclave_contract_tests.vocabulary import State
from msgspec import structs

Body = Callable[[Bench, Target], None]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    budget = structs.replace(BUDGETS["standard"], calls=200)
    bench = Bench(Made(make=Miniature, plugin=NAME), budget, Labels("0a1b2c3d"), tmp_path, Meter(budget))
    yield bench
    bench.close()


def run(bench: Bench, body: Body, **changes: object) -> CaseResult:
    check = structs.replace(catalogue()[0], body=body, **{"needs": (), **changes})
    return run_case(bench, Case(check=check, target=Target()), seed=1)


def raising(error: BaseException) -> Body:
    def body(bench: Bench, target: Target) -> None:
        raise error

    return body


def test_a_check_that_returns_passes(bench: Bench) -> None:
    result = run(bench, lambda bench, target: bench.destroy(bench.make("ECDSA_P256")))
    assert (result.state, result.calls, result.reason) == (State.PASS, 2, "")


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Violation("it lied"), State.FAIL, "it lied"),
        (IntegrityError("changed"), State.FAIL, "IntegrityError"),
        (BackendUnavailable("unplugged"), State.ERROR, "unplugged"),
        (ValueError("hunter2"), State.ERROR, "ValueError escaped"),
        (Unsupported("wrap_key", "never"), State.FAIL, "refuses it"),
    ],
)
def test_what_ends_a_check_says_who_is_to_blame(
    bench: Bench, error: BaseException, state: State, reason: str
) -> None:
    result = run(bench, raising(error))
    assert result.state is state
    assert reason in result.reason
    assert "hunter2" not in result.reason


def test_a_capability_that_may_be_missing_is_unsupported(bench: Bench) -> None:
    result = run(bench, raising(Unsupported("wrap_key", "never")), optional=("wrap_key",))
    assert result.state is State.UNSUPPORTED


def test_a_hook_that_is_missing_is_probed(bench: Bench) -> None:
    result = run(bench, raising(Violation("not reached")), needs=("wrap_key",))
    assert (result.state, result.calls) == (State.UNSUPPORTED, 3)


def test_a_check_that_never_calls_what_it_needs_shows_nothing(bench: Bench) -> None:
    result = run(bench, lambda bench, target: None, needs=("sign",))
    assert result.state is State.ERROR


def test_a_spent_budget_leaves_the_check_unrun(bench: Bench) -> None:
    def body(bench: Bench, target: Target) -> None:
        bench.each(lambda number: bench.subject.check_health(), st.integers(), explicit=[(n,) for n in range(300)])

    result = run(bench, body)
    assert result.state is State.NOT_RUN
    assert (result.examples, result.planned) == (200, 305)


def test_the_smallest_example_is_kept(bench: Bench) -> None:
    bench.budget = structs.replace(BUDGETS["deep"], calls=200)

    def body(bench: Bench, target: Target) -> None:
        bench.each(lambda number: expect(number < 1000, "too large"), st.integers(0, 1_000_000))

    assert run(bench, body).example == "1000"


def test_the_users_interrupt_passes(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(bench, raising(KeyboardInterrupt()))


def test_the_same_seed_draws_the_same_examples(bench: Bench) -> None:
    drawn: list[list[int]] = [[], []]
    for turn in drawn:
        run(bench, lambda bench, target, turn=turn: bench.each(turn.append, st.integers()))  # type: ignore[misc]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: None, "succeeded, where IntegrityError is due"),
        (lambda: dict[str, str]()["secret"], "raised KeyError, where"),
    ],
)
def test_what_should_have_been_refused_is_a_violation(call: Callable[[], object], message: str) -> None:
    with pytest.raises(Violation, match=message) as raised:
        refused(IntegrityError, "it", call)
    assert "secret" not in str(raised.value)


def test_a_right_refusal_is_returned() -> None:
    def call() -> None:
        raise IntegrityError("changed")

    error: KeyclaveError = refused(IntegrityError, "it", call)
    assert error.message == "changed"
