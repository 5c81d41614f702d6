"""One run of the suite against one backend: open, check, clean up, report."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import structs

from keyclave_contract_tests.bench import Bench
from keyclave_contract_tests.budgets import BUDGETS, Budget
from keyclave_contract_tests.cases import not_run, run_case
from keyclave_contract_tests.catalogue import Case, Check
from keyclave_contract_tests.cleaning import clean
from keyclave_contract_tests.identity import capabilities_of, framework, plugin_of, suite, target_of
from keyclave_contract_tests.labels import Labels, new_run
from keyclave_contract_tests.ledger import Entry, applied
from keyclave_contract_tests.levels import judged
from keyclave_contract_tests.meter import Meter
from keyclave_contract_tests.planning import Plan, planned
from keyclave_contract_tests.results import SCHEMA, CaseResult, Report, Run, ZooResult
from keyclave_contract_tests.sources import Source
from keyclave_contract_tests.vocabulary import State

__all__ = ["ContractRun"]


class ContractRun:
    """A run. A context manager: what it made is removed at the end, whatever happened.

    Args:
        source: where the backend comes from.
        budget: what may be spent.
        directory: scratch space for this run alone; it exists.
        seed: what random choices come from; drawn where it is not given.
        wanted: the checks to run; leaving any out makes the run partial.
        ledger: known failures.
        run: the id; a new one where it is not given.
        product: what is tested, as its maker calls it, with its firmware.

    Attributes:
        id: eight hexadecimal digits.
        plan: what it does.
        bench: what the checks work with.
        results: how the cases ended, as far as they were run.
        leftovers: names of keys that could not be removed; known at the end.
    """

    def __init__(
        self,
        source: Source,
        budget: Budget,
        directory: Path,
        *,
        seed: int | None = None,
        wanted: Callable[[Check], bool] = lambda check: True,
        ledger: Iterable[Entry] = (),
        run: str | None = None,
        product: str | None = None,
    ) -> None:
        self.id = run or new_run()
        self.seed = secrets.randbits(32) if seed is None else seed
        self.budget = budget
        self._product = product
        self.ledger = tuple(ledger)
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        self.bench = Bench(source, budget, Labels(self.id), directory, Meter(budget))
        self._description = self.bench.subject.description
        self.plan: Plan = planned(self._description, budget, wanted)
        self._everything = planned(self._description, BUDGETS["standard"])
        self.results: dict[str, CaseResult] = {}
        self.leftovers: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what the run made, and close the backend. A second call does nothing."""
        if not hasattr(self, "_seconds"):
            self._seconds = time.perf_counter() - self._clock
            with self.bench.meter.free():
                self.leftovers = clean(self.bench)
            self.bench.close()

    def run(self, case: Case) -> CaseResult:
        """Run one case."""
        result = run_case(self.bench, case, self.seed)
        self.results[_key(case)] = result
        return result

    def run_all(self, on_case: Callable[[Case, CaseResult], None] = lambda case, result: None) -> None:
        """Run the whole plan."""
        for case in self.plan.cases:
            on_case(case, self.run(case))

    def report(self, zoo: ZooResult, command: Sequence[str] = ()) -> Report:
        """Return the report, of a run that is closed.

        Args:
            zoo: whether the suite itself worked.
            command: the command line that makes this run again, where there is one.
        """
        cases = tuple(
            self.results.get(_key(case)) or not_run(case, "it was left out of this run")
            for case in sorted(self._everything.cases, key=lambda case: case.check.number)
        )
        cases = applied(cases, self.ledger)
        partial = any(case.state is State.NOT_RUN for case in cases)
        total = self.bench.meter.total
        subject = self.bench.subject
        return Report(
            schema=SCHEMA,
            suite=suite(),
            framework=framework(),
            plugin=plugin_of(self.bench.source.plugin),
            target=structs.replace(target_of(self._description), product=self._product),
            capabilities=capabilities_of(self._description, encrypts=subject.has("encrypt")),
            run=Run(
                id=self.id,
                started=self._started,
                seconds=round(self._seconds, 1),
                seed=self.seed,
                budget=self.budget.name,
                path=self.bench.source.path,
                calls=dict(sorted(total.calls.items())),
                keys=self.bench.meter.keys,
                partial=partial,
                command=tuple(command),
            ),
            zoo=zoo,
            levels=judged(cases, self._description, partial=partial),
            cases=cases,
            bounds=tuple(self.bench.bounds),
            observations=tuple(self.bench.observations),
            leftovers=self.leftovers,
            scheduled=self.bench.journal.scheduled,
        )


def _key(case: Case) -> str:
    return f"{case.check.id} {case.target}"
