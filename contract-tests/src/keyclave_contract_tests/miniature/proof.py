"""Show on this machine that the suite can find faults, in well under two seconds."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.miniature.backend import NAME, Miniature
from keyclave_contract_tests.miniature.faults import FAULTS
from keyclave_contract_tests.results import CaseResult, ZooResult
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.sources import Made
from keyclave_contract_tests.vocabulary import State

__all__ = ["proof"]

_NUMBERS = frozenset(number for _, number, _ in FAULTS.values())


def proof() -> ZooResult:
    """Return what became of the faults. The right backend counts as one more, which must not be found guilty."""
    survivors = [name for name, (kind, number, pattern) in FAULTS.items() if not _killed(kind, number, pattern)]
    if any(_failures(Miniature, number) for number in sorted(_NUMBERS)):
        survivors.append("the right backend was found guilty")
    return ZooResult(faults=len(FAULTS), killed=len(FAULTS) - len(survivors), survivors=tuple(survivors))


def _killed(kind: type[Miniature], number: int, pattern: str) -> bool:
    return any(result.state is State.FAIL and re.search(pattern, result.reason) for result in _failures(kind, number))


def _failures(kind: type[Miniature], number: int) -> list[CaseResult]:
    source = Made(make=kind, plugin=NAME, guarded=False)
    with (
        tempfile.TemporaryDirectory(prefix="keyclave-contract-") as directory,
        ContractRun(
            source, BUDGETS["smoke"], Path(directory), seed=number, wanted=lambda check: check.number == number
        ) as run,
    ):
        run.run_all()
    return [r for r in run.results.values() if r.state not in {State.PASS, State.UNSUPPORTED}]
