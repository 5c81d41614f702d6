"""What the invariants are checked against, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.invariants.state import State

__all__ = ["INVARIANTS", "Acknowledged", "Evidence", "Invariant", "invariant", "violations"]


class Acknowledged(NamedTuple):
    """One operation whose caller got its answer.

    Attributes:
        operation: what was done, as the audit log calls it.
        key_reference: the key's id, 32 hexadecimal digits; for a refused operation what was asked for.
        version: of the key; ``None`` where all of them are meant.
        succeeded: whether it did.
        audit_reference: what the caller got to find the record by.
        message: what was signed, in hexadecimal.
        signature: in hexadecimal.
        successor: the version under validation that signed as well, and its signature.
        fresh: whether it was made after recovery, and so shows what works now.
    """

    operation: str
    key_reference: str
    version: int | None = None
    succeeded: bool = True
    audit_reference: str | None = None
    message: str = ""
    signature: str = ""
    successor: tuple[int, str] | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Evidence:
    """A state after recovery, and what is known besides.

    Attributes:
        now: the state.
        before: the same state at an earlier time.
        inventory: the labels of the keys that are in each backend.
        levels: how well each backend protects its keys: SOFTWARE, TPM or HSM.
        acknowledged: what callers were told.
    """

    now: State
    before: State
    inventory: Mapping[str, frozenset[str]]
    levels: Mapping[str, str]
    acknowledged: tuple[Acknowledged, ...]


Check = Callable[[Evidence], Iterator[str]]


class Invariant(NamedTuple):
    """Something that always holds after recovery.

    Attributes:
        number: its number.
        check: yields a line for each place where it does not hold; its docstring says what it is.
    """

    number: str
    check: Check


INVARIANTS: list[Invariant] = []


def invariant(number: str) -> Callable[[Check], Check]:
    """Let a function check the invariant of this number."""

    def register(check: Check) -> Check:
        INVARIANTS.append(Invariant(number, check))
        return check

    return register


def violations(evidence: Evidence) -> list[str]:
    """Return a line for each place where an invariant does not hold."""
    return [f"{number}: {line}" for number, check in INVARIANTS for line in check(evidence)]
