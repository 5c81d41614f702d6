"""The independent checker: every invariant, in the order of their numbers."""

from __future__ import annotations

from tests.invariants import changes, keys, log
from tests.invariants.evidence import INVARIANTS, Acknowledged, Evidence, Invariant, violations

__all__ = ["INVARIANTS", "Acknowledged", "Evidence", "Invariant", "violations"]

assert [module.__name__ for module in (keys, changes, log)]  # importing them fills the list
