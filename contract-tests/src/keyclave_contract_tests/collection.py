"""What pytest collects for one backend: an item for each check, all of them working on one run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
from keyclave.errors import ConfigurationError

from keyclave_contract_tests.adapter import BackendContract
from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.catalogue import Check, catalogue
from keyclave_contract_tests.ledger import applied, read_ledger
from keyclave_contract_tests.miniature.proof import proof
from keyclave_contract_tests.report.text import line
from keyclave_contract_tests.report.writing import write
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.sources import Installed
from keyclave_contract_tests.vocabulary import State

__all__ = ["ContractCollector", "ContractItem"]

_BAD = frozenset({State.FAIL, State.ERROR, State.NOT_RUN})
_SUPPLIED = frozenset({"plugin", "budget", "accept_simulator", "ledger", "settings"})

_proof = cache(proof)


class Broken(Exception):
    """A check failed; the message holds a line for each case."""


class ContractCollector(pytest.Collector):
    """The checks for one backend."""

    def __init__(self, *, contract: type[BackendContract], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._contract = contract
        self._closing = ExitStack()
        self._run: ContractRun | None = None

    @classmethod
    def from_parent(cls, parent: Any, **attributes: Any) -> Self:
        """See `pytest.Collector.from_parent`."""
        collector: Self = super().from_parent(parent, **attributes)
        return collector

    def collect(self) -> Iterator[pytest.Item]:
        """Return an item for each check; those that look at the whole run come last."""
        foreign = sorted(n for n in vars(self._contract) if n not in _SUPPLIED and not n.startswith("__"))
        if foreign:
            raise self.CollectError(
                f"{self.name} may set {', '.join(sorted(_SUPPLIED))}; it sets {', '.join(foreign)}"
            )
        for check in sorted(catalogue(), key=lambda check: check.last):
            yield ContractItem.from_parent(self, name=check.id, check=check)

    @property
    def run(self) -> ContractRun:
        """The run, begun when its first item runs."""
        if self._run is None:
            if _proof().survivors:
                raise Broken(f"the suite does not work on this machine; it missed: {', '.join(_proof().survivors)}")
            self._run = self._begun()
        return self._run

    def _begun(self) -> ContractRun:
        contract = self._contract
        if contract.budget not in BUDGETS:
            raise ConfigurationError(f"budget must be one of {', '.join(BUDGETS)}")
        ledger = (
            ()
            if contract.ledger is None
            else read_ledger(self.path.parent / contract.ledger, datetime.now(UTC).date())
        )
        directory = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="keyclave-contract-")))
        settings = directory / "settings"
        settings.mkdir(mode=0o700)
        source = Installed(
            plugin=contract.plugin,
            settings=contract.settings(settings),
            accept_simulator=contract.accept_simulator,
        )
        return ContractRun(source, BUDGETS[contract.budget], directory, ledger=ledger)

    def teardown(self) -> None:
        """End the run, write its report where that was asked for, and fail if keys were left."""
        run, self._run = self._run, None
        if run is None:
            return
        run.close()
        directory: Path | None = self.config.getoption("--contract-report")
        if directory is not None:
            write(run.report(_proof()), directory / self._contract.plugin)
        self._closing.close()
        if run.leftovers:
            raise Broken(f"could not be removed: {', '.join(run.leftovers)}")


class ContractItem(pytest.Item):
    """One check, for everything that it is to be run for."""

    def __init__(self, *, check: Check, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._check = check

    def runtest(self) -> None:
        """Run the check's cases.

        Raises:
            Broken: one of them went wrong.
        """
        collector = self.parent
        if not isinstance(collector, ContractCollector):
            raise TypeError(f"{self.name} was not collected by the contract suite")
        run = collector.run
        results = applied(
            [run.run(case) for case in run.plan.cases if case.check.number == self._check.number], run.ledger
        )
        bad = [result for result in results if result.state in _BAD]
        if bad:
            raise Broken("\n".join(map(_line, bad)))
        known = [result for result in results if result.state is State.KNOWN_FAIL]
        if known:
            pytest.xfail("; ".join(map(_line, known)))
        if not any(result.state is State.PASS for result in results):
            pytest.skip("; ".join(map(_line, results)) or "UNSUPPORTED: the backend describes nothing to check")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the lines of a broken check, without a traceback through the suite."""
        if isinstance(excinfo.value, Broken):
            return f"{self._check.title}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the class stands, and the name of the check."""
        return self.path, None, f"contract: {self.name}"


def _line(result: CaseResult) -> str:
    subject = f" for {result.subject}" if result.subject else ""
    example = f" (with {result.example})" if result.example else ""
    return line(f"{result.state.value}{subject}: {result.ledger or result.reason}{example}")
