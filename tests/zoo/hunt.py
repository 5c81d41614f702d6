"""Let a check loose on a fault."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.results import CaseResult
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.vocabulary import State

from tests.zoo.fault import Fault

__all__ = ["Hunt", "hunt"]

_SEED = 20261126


@dataclass(frozen=True)
class Hunt:
    """What became of one check and one fault.

    Attributes:
        fault: its name.
        check: the number of the check.
        guarded: whether calls went through the guards of the core.
        killed: whether the check found the fault, for the stated reason.
        found: what the check said; empty if it passed.
    """

    fault: str
    check: int
    guarded: bool
    killed: bool
    found: str


def hunt(fault: Fault, number: int, *, guarded: bool) -> Hunt:
    """Run one check on a fault until it fails."""
    failed = _first_failure(fault, number, guarded=guarded)
    found = "" if failed is None else f"{failed.state.value} for {failed.subject or 'the backend'}: {failed.reason}"
    killed = failed is not None and failed.state is State.FAIL and bool(re.search(fault.kills[number], failed.reason))
    return Hunt(fault=fault.name, check=number, guarded=guarded, killed=killed, found=found)


def _first_failure(fault: Fault, number: int, *, guarded: bool) -> CaseResult | None:
    with (
        tempfile.TemporaryDirectory(prefix="keyclave-zoo-") as directory,
        ContractRun(
            fault.source(guarded=guarded),
            BUDGETS[fault.budget],
            Path(directory),
            seed=_SEED,
            wanted=lambda check: check.number == number,
        ) as run,
    ):
        results = (run.run(case) for case in run.plan.cases)
        return next((r for r in results if r.state not in {State.PASS, State.UNSUPPORTED}), None)
