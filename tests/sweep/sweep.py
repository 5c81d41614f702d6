"""Interrupt one operation everywhere, each time on a copy of an instance; recover, and check every invariant."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tests.invariants.checker import Acknowledged, Evidence, violations
from tests.invariants.state import read_state
from tests.sweep import steps, strace
from tests.sweep.instance import KILLED, SHARED, Instance, in_child
from tests.sweep.operations import OPERATIONS, Operation
from tests.sweep.processes import attempt, opened, work_again

__all__ = ["Kill", "Sweep"]

_THEIRS = f"{SHARED}/theirs.pem"


class Kill(NamedTuple):
    """Where an operation is interrupted.

    Attributes:
        name: of the place: a system call, or a step, and its number.
        arm: lets the process that calls it be killed there, from then on.
    """

    name: str
    arm: Callable[[], object]


class Sweep:
    """Every kill of one operation.

    Args:
        base: an instance with the keys that every operation finds.
        name: the operation.
        scratch: where the trials take place.

    Attributes:
        kills: all that it can survive.
        others: the names of the others.

    Raises:
        RuntimeError: the operation does not work without a kill, or the checker finds something then.
    """

    def __init__(self, base: Instance, name: str, scratch: Path) -> None:
        self._operation: Operation = OPERATIONS[name]
        self._scratch = scratch / name
        self._scratch.mkdir()
        self._numbers = count()
        self._template = base.copy(self._scratch / "template")
        self._prepare()
        self._before = read_state(self._template.state)
        self.others: list[str] = []
        self.kills: tuple[Kill, ...] = (*self._at_calls(), *self._at_steps())

    def trial(self, kill: Kill) -> list[str]:
        """Interrupt the operation there, recover and check; return what is wrong."""
        instance = self._copy()
        status = in_child(partial(attempt, instance, self._operation, kill.arm))
        if status != KILLED:
            return [f"the kill did not fire: the process ended with status {status}"]
        wrong = self._examine(instance)
        shutil.rmtree(instance.directory)
        return wrong

    def close(self) -> None:
        """Remove what the sweep left."""
        shutil.rmtree(self._scratch)

    def _prepare(self) -> None:
        operation = self._operation
        if operation.before is not None:
            _require(in_child(partial(self._do, operation.before)) == 0)
        if operation.dies_after:
            die = partial(steps.watch, lambda step: step == operation.dies_after)
            interrupted = Operation(operation.run, operation.name)
            _require(in_child(partial(attempt, self._template, interrupted, die)) == KILLED)

    def _do(self, body: Callable[..., object]) -> None:
        with opened(self._template) as clave:
            body(clave)

    def _at_calls(self) -> list[Kill]:
        instance, trace = self._copy(), self._scratch / "calls"
        self._run_through(instance, partial(strace.attach, trace, None))
        kills = []
        for call in strace.read_calls(trace, *instance.stored, instance.acknowledged):
            name = f"{call.name} {call.number}"
            if instance.cannot_survive(call):
                self.others.append(name)
            else:
                kills.append(Kill(name, partial(strace.attach, Path(os.devnull), call)))
        return kills

    def _at_steps(self) -> list[Kill]:
        names = self._scratch / "steps"
        self._run_through(self._copy(), partial(steps.list_into, names))
        listed = enumerate(names.read_text().splitlines(), 1)
        return [Kill(f"{name} ({number})", partial(steps.watch, _nth(number))) for number, name in listed]

    def _run_through(self, instance: Instance, arm: Callable[[], object]) -> None:
        _require(in_child(partial(attempt, instance, self._operation, arm)) == 0)
        wrong = self._examine(instance)
        _require(not wrong, f": without a kill, {wrong}")

    def _copy(self) -> Instance:
        return self._template.copy(self._scratch / str(next(self._numbers)))

    def _examine(self, instance: Instance) -> list[str]:
        if in_child(partial(work_again, instance)) != 0:
            return ["recovery, or the work after it, failed"]
        lines = instance.acknowledged.read_text().splitlines()
        inventory = instance.inventory()
        evidence = Evidence(
            now=read_state(instance.state),
            before=self._before,
            inventory=inventory,
            levels=dict.fromkeys(inventory, "SOFTWARE"),
            acknowledged=tuple(Acknowledged(**json.loads(line)) for line in lines),
        )
        touched = (instance.directory / _THEIRS).read_bytes() != (self._template.directory / _THEIRS).read_bytes()
        return [*violations(evidence), *(["the key of somebody else was changed"] if touched else [])]


def _nth(number: int) -> Callable[[str], bool]:
    """Return what is true when it is asked for the n-th time."""
    asked = count(1)
    return lambda _: next(asked) == number


def _require(condition: bool, problem: str = "") -> None:  # noqa: FBT001  as an assertion
    if not condition:
        sys.stderr.flush()
        raise RuntimeError(f"the sweep itself does not work{problem}")
