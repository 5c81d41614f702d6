"""What a run will do, before it does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from keyclave.plugin import BackendDescription, Record

from keyclave_contract_tests.budgets import Budget
from keyclave_contract_tests.catalogue import Case, Check, catalogue

__all__ = ["Plan", "planned"]

_RATE = 5
"""Calls in a second that a slow device makes."""
_HOUR = 3600


class Plan(Record, frozen=True, kw_only=True):
    """The cases of a run, in the order in which they run.

    Attributes:
        cases: every check for every target.
        checks: how many checks there are.
        keys: how many keys will be made, about.
        calls: how many calls will be made, about.
    """

    cases: tuple[Case, ...]
    checks: int
    keys: int
    calls: int

    def __str__(self) -> str:
        seconds = self.calls / _RATE
        duration = f"{seconds / 60:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"
        return (
            f"plan: {self.checks} checks, {len(self.cases)} cases, {self.keys} keys, ~{self.calls:,} calls, "
            f"about {duration} at {_RATE}/s"
        )


def planned(
    description: BackendDescription, budget: Budget, wanted: Callable[[Check], bool] = lambda check: True
) -> Plan:
    """Return the plan for a backend: every check once, before any is repeated for another target."""
    by_check = [
        [Case(check=check, target=target) for target in islice(check.targets(description), budget.targets)]
        for check in catalogue()
        if wanted(check)
    ]
    cases = [case for cases in by_check for case in cases]
    ranked = {id(case): rank for cases in by_check for rank, case in enumerate(cases)}
    cases.sort(key=lambda case: (case.check.last, ranked[id(case)]))
    return Plan(
        cases=tuple(cases),
        checks=sum(bool(cases) for cases in by_check),
        keys=len(description.algorithms) + sum(case.check.keys for case in cases),
        calls=_calls(cases, budget),
    )


def _calls(cases: Sequence[Case], budget: Budget) -> int:
    """Return about how many calls the cases make; checks state theirs for the standard budget."""
    factor = {"smoke": 0.3, "standard": 1.0}.get(budget.name, 30.0)
    return round(sum(case.check.calls for case in cases) * factor)
