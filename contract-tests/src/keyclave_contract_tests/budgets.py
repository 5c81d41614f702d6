"""How much a run may spend, and how deep it looks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from keyclave.plugin import Record

__all__ = ["BUDGETS", "Budget"]


class Budget(Record, frozen=True, kw_only=True):
    """What a run may spend.

    Attributes:
        name: what it is called.
        targets: for how many targets each check runs at most, algorithms or schemes; ``None`` for all.
        examples: how many examples hypothesis draws for a property, besides the fixed ones.
        steps: how many steps one run of the stateful machine takes.
        repeats: how often what must never go wrong is done: signatures of one key, nonces.
        rounds: how often what depends on time is tried: races, kills.
        calls: the most calls to the backend.
        keys: the most keys that may be made.
        shrinks: whether hypothesis looks for a smaller example, which can take twenty times the calls.
    """

    name: str
    targets: int | None
    examples: int
    steps: int
    repeats: int
    rounds: int
    calls: int
    keys: int
    shrinks: bool


BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        budget.name: budget
        for budget in (
            Budget(
                name="smoke",
                targets=1,
                examples=1,
                steps=5,
                repeats=10,
                rounds=1,
                calls=4_000,
                keys=500,
                shrinks=False,
            ),
            Budget(
                name="standard",
                targets=None,
                examples=5,
                steps=15,
                repeats=120,
                rounds=3,
                calls=8_000,
                keys=600,
                shrinks=False,
            ),
            Budget(
                name="deep",
                targets=None,
                examples=200,
                steps=60,
                repeats=6_000,
                rounds=20,
                calls=1_000_000,
                keys=50_000,
                shrinks=True,
            ),
        )
    }
)
"""Smoke shows in seconds whether a backend works at all, standard is what levels need, deep is for a night."""
