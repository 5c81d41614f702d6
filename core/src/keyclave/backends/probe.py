"""Try the import of a foreign plugin in a child process first.

An import that never returns, ends the process or crashes it cannot be stopped from inside. So a plugin of a foreign
distribution is imported once in a child with a time limit, and here only after the child has said that it worked: an
exit status says nothing, since an import may call ``os._exit(0)``. This guards against accidents only: a plugin is
trusted code, and one that means harm behaves well in the child. First-party plugins skip this. They are developed
and tested together with the core, and a child costs as long as starting Python again.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import EntryPoint
from typing import IO

from keyclave.backends.failures import describe
from keyclave.errors import PluginLoadError

__all__ = ["probe"]

_BOOTSTRAP = (
    "import sys, json; request = json.load(sys.stdin); sys.path[:] = request['path'];"
    "from keyclave.backends.probing import main; main(request)"
)
_LONGEST_ANSWER = 1000


def probe(entry_point: EntryPoint, seconds: float) -> None:
    """Import what the entry point names in a child process.

    Raises:
        PluginLoadError: the import raised, crashed, ended the process, or did not return within ``seconds``.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise PluginLoadError("there is no Python interpreter to try its import with")
    nonce = secrets.token_hex(16)
    request = {
        "path": [str(entry) for entry in sys.path],
        "nonce": nonce,
        "entry_point": [entry_point.name, entry_point.value, entry_point.group],
    }
    # Files, not pipes: a grandchild that keeps a pipe open would keep us waiting for its end.
    with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
        question.write(json.dumps(request).encode())
        question.seek(0)
        status = _run(question, answer, seconds)
        answer.seek(0)
        outcome = _parse(answer.read(_LONGEST_ANSWER), nonce)
    if status is None:
        raise PluginLoadError(f"its import did not return within {seconds:g} s")
    if outcome is None:
        raise PluginLoadError(f"its import ended the process, with status {status}")
    if outcome:
        raise PluginLoadError(f"its import raised {outcome}")


def _run(question: IO[bytes], answer: IO[bytes], seconds: float) -> int | None:
    """Return the exit status of the child, or ``None`` if it had to be killed."""
    try:
        child = subprocess.Popen(  # noqa: S603  our own interpreter with a constant program
            [sys.executable, "-P", "-c", _BOOTSTRAP],
            stdin=question,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        problem = describe(error)
    else:
        return _wait(child, seconds)
    raise PluginLoadError(f"no process to try its import in could be started: {problem}")


def _wait(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if child.poll() is None:
            _kill(child)
            child.wait()


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the child, and with it whatever it started where the system has process groups."""
    if os.name == "posix":
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()


def _parse(answer: bytes, nonce: str) -> str | None:
    """Return what the child said: empty for a good import, a description for a failed one, ``None`` for nothing."""
    try:
        message = json.loads(answer)
        said, outcome = message["nonce"], message["outcome"]
    except (ValueError, KeyError, TypeError):
        return None
    if said != nonce or not isinstance(outcome, str) or not outcome.isprintable():
        return None
    return outcome
