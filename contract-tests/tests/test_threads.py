"""Threads that begin together, and what came of each."""

from __future__ import annotations

import threading

import pytest
from keyclave_contract_tests.threads import outcomes_of, together
from keyclave_contract_tests.violations import Violation


def test_results_come_in_order_and_the_first_exception_is_raised() -> None:
    assert together(lambda: 1, lambda: 2, lambda: 3) == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        together(lambda: 1, lambda: 1 // 0)


def test_all_begin_before_any_ends() -> None:
    barrier = threading.Barrier(4)
    assert sorted(together(*[lambda: barrier.wait(10) for _ in range(4)])) == [0, 1, 2, 3]


def test_a_thread_that_does_not_return_is_a_violation() -> None:
    gate = threading.Event()
    with pytest.raises(Violation, match="did not return within"):
        outcomes_of([lambda: gate.wait(60)], seconds=0.05)
    gate.set()
