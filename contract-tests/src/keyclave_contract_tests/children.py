"""Other processes that use the backend: started fresh, told when to begin, and killed where a check asks for it.

The child is a new interpreter, so it shares nothing with this one but the files and the device of the backend. What
it is to do comes pickled through its standard input, and its answer goes back through its standard output.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from keyclave.plugin import BackendContext

from keyclave_contract_tests.sources import Source
from keyclave_contract_tests.violations import Violation

__all__ = ["GO", "READY", "Child", "Work"]

Work = Callable[..., Any]
"""An importable function: it takes a `Subject` and the arguments, and returns what can be pickled."""
READY = b"ready\n"
GO = b"g"
_SECONDS = 120


class Child:
    """A process that has opened the backend and waits.

    Args:
        source: where the backend comes from.
        context: what to open it with.
        work: what to do.
        arguments: with what.
    """

    def __init__(self, source: Source, context: BackendContext, work: Work, arguments: tuple[object, ...]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keyclave_contract_tests.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        self._alarm = threading.Timer(_SECONDS, self._process.kill)
        self._alarm.daemon = True
        self._alarm.start()
        self._send(pickle.dumps((source, context, work, arguments)))
        ready = self._output.readline()
        if ready != READY:
            self.end()
            raise Violation("another process could not open the backend while this one has it open")

    @property
    def _input(self) -> Any:
        return self._process.stdin

    @property
    def _output(self) -> Any:
        return self._process.stdout

    def _send(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # it died, and its silence says so
            self._input.write(data)
            self._input.flush()

    def go(self) -> None:
        """Let it begin."""
        self._send(GO)

    def result(self) -> Any:
        """Return what the work returned, or the exception that it raised.

        Raises:
            Violation: the process ended without an answer.
        """
        answer = self._output.read()
        self._process.wait()
        if not answer:
            raise Violation("another process that used the backend ended without an answer")
        return pickle.loads(answer)  # noqa: S301  our own child

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """See to it that nothing of it is left."""
        self._alarm.cancel()
        self.kill()
        for stream in (self._input, self._output):
            with suppress(BrokenPipeError):
                stream.close()
