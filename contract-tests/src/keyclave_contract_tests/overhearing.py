"""Collect whatever a backend lets out: logs, prints, errors and what hangs on them, objects, what others are told."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from keyclave_contract_tests.handed_on import handed_on
from keyclave_contract_tests.printing import printed

__all__ = ["Watch", "watching"]

_SUITE = str(Path(__file__).parent)
_ORDINARY = frozenset(vars(logging.makeLogRecord({})))


class Watch(logging.Handler):
    """What was seen, a list of texts for each place where it was seen."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: dict[str, list[str | bytes]] = {}

    def note(self, place: str, text: str | bytes) -> None:
        """Remember a text."""
        self.seen.setdefault(place, []).append(text)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a log record, with its arguments, extras and exception."""
        self.note("a log record", f"{record.getMessage()} {record.msg!r} {record.args!r}")
        extras = {name: value for name, value in vars(record).items() if name not in _ORDINARY}
        self.note("a log record", repr(extras))
        if record.exc_info and record.exc_info[1] is not None:
            self.error(record.exc_info[1])

    def told(self, call: Callable[[], object]) -> object:
        """Return what a call returned, and remember how it is shown; or remember the error that it raised."""
        try:
            result = call()
        except Exception as error:
            self.error(error)
            return None
        if not isinstance(result, bytes):
            self.shown("a result", result)
        return result

    def error(self, error: BaseException) -> None:
        """Remember an error, those behind it, and the local variables of the frames that it went through."""
        pending, known = [error], set()
        while pending:
            one = pending.pop()
            if id(one) in known:
                continue
            known.add(id(one))
            pending += filter(None, (one.__cause__, one.__context__))
            self.note("an error", _said(one))
            for frame, _ in traceback.walk_tb(one.__traceback__):
                if not frame.f_code.co_filename.startswith(_SUITE):
                    self.note("a local variable of a traceback", repr(frame.f_locals))

    def shown(self, what: str, value: object) -> None:
        """Remember an object as it shows itself, as its attributes are shown, and as it is pickled."""
        self.note(f"the text of {what}", f"{value!r} {value}")
        for attributes in _attributes(value):
            self.note(f"the attributes of {what}", repr(attributes))
        try:
            self.note(f"the pickle of {what}", pickle.dumps(value))
        except Exception:  # what cannot be pickled lets nothing out
            return

    def process(self) -> None:
        """Remember the environment and the command line of this process, which others can see."""
        self.note("the environment", repr(dict(os.environ)))
        self.note("the command line", repr(sys.argv))


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch all loggers at DEBUG, all warnings, what is printed, and what is handed to other programs."""
    watch = Watch()
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    before = [(logger, logger.level, logger.propagate) for logger in (logging.root, *loggers)]
    disabled = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    logging.root.addHandler(watch)
    for logger, _, _ in before:
        logger.setLevel(logging.DEBUG)
        logger.propagate = True
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            printed(partial(watch.note, "what was printed")),
            handed_on(watch.note),
        ):
            warnings.simplefilter("always")
            yield watch
    finally:
        logging.root.removeHandler(watch)
        logging.disable(disabled)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate
    for warning in caught:
        watch.note("a warning", _said(warning.message))
    watch.process()


def _said(error: BaseException | str) -> str:
    """Return the text of an error or a warning, and whatever hangs on it."""
    return f"{error} {error!r} {getattr(error, 'args', ())!r} {getattr(error, '__dict__', {})!r}"


def _attributes(value: object) -> Iterator[dict[str, object]]:
    """Return the attributes of an object, and those of what they hold."""
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict):
        yield own
        for inner in own.values():
            nested = getattr(inner, "__dict__", None)
            if isinstance(nested, dict) and not isinstance(inner, type):
                yield nested
