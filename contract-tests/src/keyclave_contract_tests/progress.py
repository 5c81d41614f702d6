"""How far a run is, on the terminal: checks done, the one at work, and the time left."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from keyclave_contract_tests.catalogue import Case
from keyclave_contract_tests.planning import Plan
from keyclave_contract_tests.report.text import line
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.vocabulary import State

__all__ = ["Progress"]

_SHOWN = frozenset({State.FAIL, State.ERROR})


class Progress:
    """The display of one run, on standard error; nothing is drawn where that is no terminal.

    The time left follows from the calls that the plan expects, since a call is what takes time on a device.

    Args:
        plan: what will be done.
        quiet: draw nothing.
    """

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._bar = Bar(
            TextColumn("{task.fields[done]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("calls, about"),
            TimeRemainingColumn(),
            TextColumn("left; {task.fields[at_work]}"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._cases = len(plan.cases)
        self._done = 0
        self._task = self._bar.add_task("", total=max(plan.calls, 1), done=f"0/{self._cases}", at_work="opening")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_case(self, case: Case, result: CaseResult) -> None:
        """Note that a case has ended; say so where it went wrong."""
        self._done += 1
        if result.state in _SHOWN:
            self._bar.console.print(line(f"{result.state.value} {case.check.id} {case.target}: {result.reason}"))
        self._bar.update(self._task, advance=result.calls, done=f"{self._done}/{self._cases}", at_work=case.check.id)
