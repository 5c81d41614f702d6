"""Keep the SDK from logging what it sends and gets: at level DEBUG those are plaintexts, tokens and credentials.

Its loggers belong to the application, which may use the SDK for other things. So only what it logs during calls of
this backend is dropped, in the thread that makes the call.
"""

from __future__ import annotations

import logging
import threading

__all__ = ["SILENCE", "Silence"]

_LOUD = frozenset({"boto3", "botocore"})


class Silence(threading.local):
    """``with SILENCE:`` drops what the SDK logs in this thread."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1

    def filter(self, _: logging.LogRecord) -> bool:
        """Return whether a record may pass; `logging` asks."""
        return self.depth == 0

    def watch(self) -> None:
        """Watch every logger that the SDK has by now. A logger's filter is not asked about those below it."""
        for name in list(logging.root.manager.loggerDict):
            if name.partition(".")[0] in _LOUD:
                logging.getLogger(name).addFilter(self.filter)


SILENCE = Silence()
"""The one of this process."""
