"""Processes of a fleet, and how to tell them what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from core.tests.databases import Place
from core.tests.fleet import config_of

__all__ = ["Worker", "fleet"]

_ROOT = Path(__file__).parents[2]


class Worker:
    """A process of a fleet.

    Args:
        config: its settings.
        name: its principal.
        lease_seconds: how long a lease lasts.
    """

    def __init__(self, config: Path, name: str, lease_seconds: float) -> None:
        self.name = name
        self.acknowledged = config.with_name(f"acknowledged-{name}")
        with config.with_name(f"errors-{name}").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fleet.worker", str(config), name, str(lease_seconds)],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def tell(self, action: str, *arguments: Any) -> None:
        """Let it begin with something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([action, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for what came of it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} died")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself."""
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise RuntimeError(f"{self.name} died")

    def go_on(self) -> None:
        """Continue it after it was stopped."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def fleet(place: Place, directory: Path, size: int, *, lease_seconds: float = 30) -> Iterator[list[Worker]]:
    """Start processes on one database: those of SQLite on one machine, others on a machine for each."""
    with ExitStack() as ending:
        workers = []
        for number in range(size):
            machine = directory / ("machine" if place.kind == "sqlite" else f"machine{number}")
            worker = Worker(config_of(place, machine), f"worker{number}", lease_seconds)
            ending.callback(worker.end)
            workers.append(worker)
        for worker in workers:
            worker.answer()
        yield workers
