"""How a run ends: with an exit code, whatever happens, and with its streams left in order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import click

from keyclave.cli.exit_codes import ExitCode
from keyclave.cli.failures import failure_of

__all__ = ["die_on_sigterm", "leave", "run_guarded"]


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Like an interrupt it passes whatever a plugin may be blamed for; a SystemExit would not."""


def run_guarded(call: Callable[[], object], *, as_json: bool) -> int:
    """Run the program, show its error on standard error, and return its exit code.

    Args:
        call: the program. It returns its exit code, or anything else for 0.
        as_json: show an error as one line of JSON.
    """
    try:
        code = call()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has enough of it.
        _discard_output()
        return ExitCode.FAILED
    except click.UsageError as error:
        if as_json:
            return _show(error, as_json=True)
        error.show()
        return error.exit_code
    except OSError as error:
        _discard_output()
        return _show(error, as_json=as_json)
    except (Exception, KeyboardInterrupt) as error:
        # click makes an Abort of a KeyboardInterrupt.
        terminated = isinstance(error, Terminated) or isinstance(error.__cause__, Terminated)
        return ExitCode.TERMINATED if terminated else _show(error, as_json=as_json)
    return code if isinstance(code, int) else ExitCode.DONE


def die_on_sigterm() -> None:
    """Let SIGTERM end the process as an exception does: files are removed and databases closed."""

    def leave(*_: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, leave)


def leave(code: int) -> NoReturn:
    """Leave the process, at once if a call still runs in the library of a backend.

    Such a call was interrupted or took too long, and cannot be stopped. It would crash in a library that is taken
    down around it, and the process would end with a signal in place of its exit code.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _show(error: BaseException, *, as_json: bool) -> int:
    failure = failure_of(error, for_json=as_json)
    click.echo(failure.as_json() if as_json else failure.as_text(), err=True)
    return failure.code


def _discard_output() -> None:
    """Let nothing be written at exit to a standard output that cannot be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stdout.fileno()
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, descriptor)
        os.close(devnull)
