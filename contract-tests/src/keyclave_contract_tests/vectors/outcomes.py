"""What a run over the vectors of a file came to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from keyclave.plugin import Record

from keyclave_contract_tests.vectors.groups import Vector, Verdict

__all__ = ["ACCEPTED", "REFUSED", "Mismatch", "Outcome", "VectorRun", "collect"]

ACCEPTED, REFUSED = "accepted", "refused"

Outcome: TypeAlias = tuple[Vector, Verdict, str]
"""A vector, what it must come to, and what it came to: `ACCEPTED`, `REFUSED`, or what else happened, in words."""

_EXPECTED = {
    Verdict.VALID: (ACCEPTED,),
    Verdict.INVALID: (REFUSED,),
    Verdict.ACCEPTABLE: (ACCEPTED, REFUSED),
}


class Mismatch(Record, frozen=True, kw_only=True):
    """A vector that came to something else than it must.

    Attributes:
        tc_id: its number in the file.
        flags: the kinds of mistakes that it looks for.
        comment: what is special about it.
        expected: ``accepted``, ``refused`` or both.
        found: what it came to, in words.
    """

    tc_id: int
    flags: tuple[str, ...]
    comment: str
    expected: str
    found: str


class VectorRun(Record, frozen=True, kw_only=True):
    """What the vectors of one file came to.

    Attributes:
        name: of the file.
        ran: how many vectors ran.
        acceptable: how many of them may be accepted or refused.
        accepted: how many of the acceptable were accepted.
        mismatches: those that came to something else than they must.
    """

    name: str
    ran: int
    acceptable: int
    accepted: int
    mismatches: tuple[Mismatch, ...]


def collect(name: str, outcomes: Iterable[Outcome]) -> VectorRun:
    """Return the run that these outcomes of vectors of a file make."""
    results = tuple(outcomes)
    acceptable = [found for _, verdict, found in results if verdict is Verdict.ACCEPTABLE]
    return VectorRun(
        name=name,
        ran=len(results),
        acceptable=len(acceptable),
        accepted=acceptable.count(ACCEPTED),
        mismatches=tuple(_mismatch(*result) for result in results if result[2] not in _EXPECTED[result[1]]),
    )


def _mismatch(vector: Vector, verdict: Verdict, found: str) -> Mismatch:
    return Mismatch(
        tc_id=vector.tc_id,
        flags=vector.flags,
        comment=vector.comment,
        expected=" or ".join(_EXPECTED[verdict]),
        found=found,
    )
