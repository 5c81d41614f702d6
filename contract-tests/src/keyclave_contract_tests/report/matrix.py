"""The matrix of a report: what each group of checks came to for each algorithm and scheme."""

from __future__ import annotations

from collections import Counter

from keyclave.plugin import Record

from keyclave_contract_tests.results import CaseResult, Report
from keyclave_contract_tests.vocabulary import Group, State

__all__ = ["Cell", "Matrix", "Row", "matrix"]

_WORST_FIRST = (State.FAIL, State.ERROR, State.KNOWN_FAIL, State.NOT_RUN, State.UNSUPPORTED, State.PASS)


class Cell(Record, frozen=True, kw_only=True):
    """What one group came to for one subject.

    Attributes:
        group: of the checks.
        state: the worst of them; ``None`` where there are none.
        number: how many ended so.
        total: how many there are.
    """

    group: Group
    state: State | None
    number: int
    total: int


class Row(Record, frozen=True, kw_only=True):
    """What every group came to for one subject; an empty subject is the backend as a whole."""

    subject: str
    cells: tuple[Cell, ...]


class Matrix(Record, frozen=True, kw_only=True):
    """The groups that have checks, and a row for each subject, in the order of the report."""

    groups: tuple[Group, ...]
    rows: tuple[Row, ...]


def matrix(report: Report) -> Matrix:
    """Return the matrix of a report."""
    groups = tuple(group for group in Group if any(case.group is group for case in report.cases))
    by_place: dict[str, dict[Group, list[CaseResult]]] = {}
    for case in report.cases:
        by_place.setdefault(case.subject, {}).setdefault(case.group, []).append(case)
    rows = (
        Row(subject=subject, cells=tuple(_cell(group, places.get(group, [])) for group in groups))
        for subject, places in by_place.items()
    )
    return Matrix(groups=groups, rows=tuple(rows))


def _cell(group: Group, cases: list[CaseResult]) -> Cell:
    numbers = Counter(case.state for case in cases)
    worst = next((state for state in _WORST_FIRST if numbers[state]), None)
    return Cell(group=group, state=worst, number=numbers[worst] if worst else 0, total=len(cases))
