"""``keyclave conform``: the suite as a command, for vendors who write no Python.

The core declares the command and reads the settings; this carries it out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keyclave.backends.manager import BackendInstance
from keyclave.errors import InvalidArgument, PolicyViolation

from keyclave_contract_tests.budgets import BUDGETS
from keyclave_contract_tests.catalogue import Check, catalogue
from keyclave_contract_tests.labels import new_run
from keyclave_contract_tests.ledger import Entry, read_ledger
from keyclave_contract_tests.miniature.proof import proof
from keyclave_contract_tests.progress import Progress
from keyclave_contract_tests.report.comparison import compare, describe
from keyclave_contract_tests.report.document import encode, read
from keyclave_contract_tests.report.text import counted
from keyclave_contract_tests.report.writing import prepare, write
from keyclave_contract_tests.results import Report, ZooResult
from keyclave_contract_tests.runs import ContractRun
from keyclave_contract_tests.scratch import run_directory, sweep
from keyclave_contract_tests.sources import Installed
from keyclave_contract_tests.told import told
from keyclave_contract_tests.vocabulary import State
from keyclave_contract_tests.wishes import Wishes, command_line

__all__ = ["conform"]


def conform(instance: BackendInstance, echo: Callable[[str], None], wishes: Mapping[str, Any]) -> int:
    """Carry the command out, and return its exit code.

    Args:
        instance: the backend; its data directory is where runs keep theirs.
        echo: prints a line of the answer.
        wishes: the fields of `Wishes`.

    Raises:
        ConfigurationError: the baseline or the ledger cannot be used, or the backend's settings.
        PolicyViolation: the backend holds keys of others.
        KeyclaveError: what opening the backend raised.
    """
    asked = Wishes(**wishes)
    source = Installed(plugin=instance.plugin, settings=instance.settings, accept_simulator=instance.accept_simulator)
    if asked.sweep:
        return _sweep(source, instance.data_directory, echo)
    ledger = () if asked.ledger is None else read_ledger(asked.ledger, datetime.now(UTC).date())
    baseline = None if asked.baseline is None else read(asked.baseline)
    report = _run(source, instance, asked, ledger, echo)
    if report is None:
        return 0
    _answer(report, baseline, asked, echo)
    return 0 if _is_clean(report) else 1


def _run(
    source: Installed,
    instance: BackendInstance,
    asked: Wishes,
    ledger: tuple[Entry, ...],
    echo: Callable[[str], None],
) -> Report | None:
    """Return the report of a run; ``None`` where only the plan was wanted."""
    zoo = ZooResult(faults=0, killed=0, survivors=()) if asked.dry_run else proof()
    run_id = new_run()
    with (
        run_directory(instance.data_directory, run_id) as directory,
        ContractRun(
            source,
            BUDGETS[asked.budget],
            directory,
            seed=asked.seed,
            wanted=_filter(asked.only),
            ledger=ledger,
            run=run_id,
            product=asked.product,
        ) as run,
    ):
        _refuse_foreign_keys(run, destructive=asked.destructive)
        if asked.dry_run or not asked.as_json:
            echo(str(run.plan))
        if asked.dry_run:
            return None
        command = command_line(instance.id, asked, run.seed, source.secret_settings())
        if asked.report is not None:
            prepare(asked.report)
        with Progress(run.plan, quiet=asked.as_json) as progress:
            run.run_all(progress.on_case)
        run.close()
        return run.report(zoo, command)


def _filter(pattern: str | None) -> Callable[[Check], bool]:
    if pattern is None:
        return lambda check: True
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise InvalidArgument(f"--only is no regular expression: {error}") from None
    chosen = {check.id for check in catalogue() if wanted.search(f"{check.id} {check.group} {check.level}")}
    if not chosen:
        raise InvalidArgument(
            "--only matches no check", next_step="`keyclave conform BACKEND --dry-run` counts them all."
        )
    return lambda check: check.id in chosen


def _refuse_foreign_keys(run: ContractRun, *, destructive: bool) -> None:
    """Refuse a backend that holds keys of others, where it can say so.

    Raises:
        PolicyViolation: it does, and the user did not say that it may be used all the same.
    """
    if not destructive and run.bench.subject.has_foreign_keys():
        raise PolicyViolation(
            "the backend holds keys that no Keyclave made, and a faulty plugin could harm them",
            next_step="Use a token or an account for tests alone, or add --destructive.",
        )


def _answer(report: Report, baseline: Report | None, asked: Wishes, echo: Callable[[str], None]) -> None:
    if asked.as_json:
        echo(encode(report).decode().rstrip())
    else:
        for line in told(report):
            echo(line)
        if baseline is not None:
            echo(describe(compare(baseline, report)))
    if asked.report is not None:  # last: whatever happens to the files, the result was told
        for path in write(report, asked.report):
            if not asked.as_json:
                echo(f"wrote {path}")


def _is_clean(report: Report) -> bool:
    bad = {State.FAIL, State.ERROR}
    return not report.leftovers and not report.zoo.survivors and not any(case.state in bad for case in report.cases)


def _sweep(source: Installed, parent: Path, echo: Callable[[str], None]) -> int:
    swept = sweep(source, parent)
    for found in swept:
        if found.going_on:
            echo(f"{found.run}: still going on, left alone")
        elif found.leftovers:
            echo(f"{found.run}: could not remove {', '.join(found.leftovers)}")
        else:
            echo(f"{found.run}: removed what was left of {counted(found.removed, 'key')}")
    if not swept:
        echo(f"no run left anything in {parent}")
    return 1 if any(found.leftovers for found in swept) else 0
