"""A process of a fleet that does what it is told, line by line: ``python -m tests.fleet.worker CONFIG PRINCIPAL``.

Each line of its input names an action, and is answered by one line: what came of it. What it was answered while it
was in traffic it writes to a file, as an application would rely on it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import keyclave
from keyclave import Keyclave
from keyclave.errors import Conflict, KeyclaveError, OutcomeUnknown
from keyclave.services import resolution
from keyclave.services.ownership import leases
from keyclave.services.rotation import renewal

__all__ = ["KEY", "SHARED"]

SHARED = "shared"
"""The key that every worker rotates."""
KEY = "key-of-{}"
"""The key that one worker rotates."""
_PERIOD = timedelta(hours=1)


def sign(clave: Keyclave) -> str | None:
    """Sign with the shared key, and return where that is recorded."""
    return clave.keys.sign(SHARED, b"message").audit_reference


def rotate(clave: Keyclave) -> int:
    """Let the shared key have a version under validation, which only one can."""
    return clave.rotation.rotate(SHARED, validation_period=_PERIOD).version


def promote(clave: Keyclave) -> int:
    """End the validation period, which only one can."""
    return clave.rotation.promote(SHARED).version


def swap(clave: Keyclave) -> int:
    """Rotate the shared key without a validation period."""
    return clave.rotation.rotate(SHARED, validation_period=timedelta(0)).version


def stop_and_swap(clave: Keyclave) -> int:
    """Stop this process in the middle of a rotation, when the new version is there; somebody else continues it."""
    validate = vars(renewal)["validate"]

    def stop(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        validate(*arguments, **options)

    vars(renewal)["validate"] = stop
    try:
        return swap(clave)
    finally:
        vars(renewal)["validate"] = validate


def recover(clave: Keyclave) -> list[str]:
    """Finish or undo what is open; return the kinds of what was."""
    return [intent.kind for intent in clave.recovery.run()]


def run_due(clave: Keyclave) -> dict[str, Any]:
    """Do what is due."""
    report = clave.rotation.run_due()
    return {
        "rotated": [handle.name for handle in report.rotated],
        "destroyed": [[handle.name, handle.version] for handle in report.destroyed],
        "failed": list(report.failed),
    }


ACTIONS: dict[str, Callable[[Keyclave], Any]] = {
    action.__name__: action for action in (sign, rotate, promote, swap, stop_and_swap, recover, run_due)
}


def traffic(clave: Keyclave, acknowledged: Path) -> dict[str, Any]:
    """Sign with the shared key and rotate an own one until there is a file that ends it; note what was answered."""
    name = KEY.format(clave.principal)
    answers: dict[str, int] = {}
    turn = 0
    end = acknowledged.with_suffix(".end")
    with acknowledged.open("a") as file:
        while not end.exists():
            turn += 1
            try:
                if turn % 4:
                    kind = "signed"
                    answer: Any = sign(clave)
                else:
                    kind = "rotated"
                    answer = clave.rotation.rotate(name, validation_period=timedelta(0)).version
            except OutcomeUnknown:
                kind, answer = f"{kind} perhaps", None
            except KeyclaveError as error:
                if not error.retryable:
                    raise
                kind, answer = type(error).__name__, None
                if isinstance(error, Conflict):
                    _recover(clave)
                time.sleep(0.02)
            answers[kind] = answers.get(kind, 0) + 1
            if answer is not None:
                file.write(json.dumps([kind, answer, time.time()]) + "\n")
                file.flush()
    return answers


def _recover(clave: Keyclave) -> None:
    try:
        clave.recovery.run()
    except KeyclaveError as error:
        if not error.retryable:
            raise


def main() -> None:
    """Do what standard input says until it ends."""
    config, principal, lease_seconds = sys.argv[1:]
    leases._DURATION = timedelta(seconds=float(lease_seconds))
    resolution._SETTLED_AFTER = timedelta(0)
    with keyclave.open(config, principal=principal) as clave:
        _say({"ready": True})
        for line in sys.stdin:
            action, *arguments = json.loads(line)
            try:
                if action == "traffic":
                    _say({"done": traffic(clave, Path(*arguments))})
                else:
                    _say({"done": ACTIONS[action](clave)})
            except KeyclaveError as error:
                _say({"failed": type(error).__name__, "conflict": isinstance(error, Conflict), "why": str(error)})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
