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
    """What every group came to for one subject.

    Attributes:
        algorithm: of the subject.
        scheme: of the subject; empty for the algorithm itself.
        cells: one for each group of the matrix.
    """

    algorithm: str
    scheme: str
    cells: tuple[Cell, ...]


class Matrix(Record, frozen=True, kw_only=True):
    """The matrix.

    Attributes:
        groups: those that have checks for an algorithm.
        rows: each algorithm, followed by its schemes.
        whole: what the groups came to that have checks for the backend as a whole.
    """

    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    whole: tuple[Cell, ...]


def matrix(report: Report) -> Matrix:
    """Return the matrix of a report; algorithms and schemes are in the order in which the report first has them."""
    subjects = dict.fromkeys(case.subject for case in report.cases if case.subject)
    algorithms = list(dict.fromkeys(subject.partition("/")[0] for subject in subjects))
    ordered = sorted(subjects, key=lambda subject: (algorithms.index(subject.partition("/")[0]), "/" in subject))
    by_subject = {subject: [case for case in report.cases if case.subject == subject] for subject in ("", *ordered)}
    groups = _groups([case for case in report.cases if case.subject])
    return Matrix(
        groups=groups,
        rows=tuple(_row(subject, groups, by_subject[subject]) for subject in ordered),
        whole=tuple(_cell(group, by_subject[""]) for group in _groups(by_subject[""])),
    )


def _groups(cases: list[CaseResult]) -> tuple[Group, ...]:
    return tuple(group for group in Group if any(case.group is group for case in cases))


def _row(subject: str, groups: tuple[Group, ...], cases: list[CaseResult]) -> Row:
    algorithm, _, scheme = subject.partition("/")
    return Row(algorithm=algorithm, scheme=scheme, cells=tuple(_cell(group, cases) for group in groups))


def _cell(group: Group, cases: list[CaseResult]) -> Cell:
    numbers = Counter(case.state for case in cases if case.group is group)
    worst = next((state for state in _WORST_FIRST if numbers[state]), None)
    return Cell(group=group, state=worst, number=numbers[worst] if worst else 0, total=numbers.total())
