"""What the network said about the machine, kept in a file for a while.

Whoever can write the file could make every start believe that this is production, and no more than that: what is
read from it is added to what is seen now, and evidence only tightens. A file that others may have written, that is
not as it was written, or that comes from the future is left aside.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from keyclave.backends.detection import DetectionAnswer
from keyclave.errors import ConfigurationError
from keyclave.models.levels import EnvironmentType
from keyclave.plugin.files import private_directory, read_private, replace_private
from keyclave.plugin.records import Record

__all__ = ["DetectionCache"]

_log = logging.getLogger("keyclave")
_FORMAT = 1
_LONGEST = 4 * 1024 * 1024


class _Stored(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    at: datetime
    answers: tuple[DetectionAnswer, ...]


class DetectionCache:
    """The answers of one machine's detectors to questions that may use the network.

    Args:
        path: the file, in a directory that belongs to this user alone.
        expiry: how long answers are kept that show a cloud or another environment with rules of its own.
        negative_expiry: how long they are kept if they show none.
    """

    def __init__(self, path: Path, *, expiry: timedelta, negative_expiry: timedelta) -> None:
        self._path = path
        self._expiry = expiry
        self._negative_expiry = negative_expiry

    def read(self) -> tuple[DetectionAnswer, ...] | None:
        """Return the answers, or ``None`` where there are none that may still be used."""
        try:
            if self._path.parent.exists():
                private_directory(self._path.parent)
            stored = msgspec.json.decode(read_private(self._path, limit=_LONGEST), type=_Stored)
            age = datetime.now(UTC) - stored.at
            problem = _problem(stored, age)
        except FileNotFoundError:
            return None
        except ConfigurationError as error:
            problem = error.message
        except (OSError, ValueError, TypeError, RecursionError) as error:  # not ours, or a time without a zone
            problem = f"it cannot be read ({type(error).__name__})"
        else:
            if problem is None:
                return stored.answers if age < self._kept(stored.answers) else None
        _log.warning("the cached evidence in %s is left aside: %s", self._path, problem)
        return None

    def write(self, answers: Iterable[DetectionAnswer]) -> None:
        """Keep the answers; where that is not possible, say so and go on."""
        stored = _Stored(format=_FORMAT, at=datetime.now(UTC), answers=tuple(answers))
        try:
            private_directory(self._path.parent)
            replace_private(self._path, msgspec.json.encode(stored))
        except ConfigurationError as error:
            _log.warning("what was detected is not cached: %s", error.message)
        except OSError as error:
            _log.warning("what was detected is not cached: %s: %s", self._path, error.strerror)

    def _kept(self, answers: Iterable[DetectionAnswer]) -> timedelta:
        types = {answer.evidence.environment_type for answer in answers if answer.evidence is not None}
        return self._expiry if types - {EnvironmentType.LOCAL} else self._negative_expiry


def _problem(stored: _Stored, age: timedelta) -> str | None:
    if stored.format != _FORMAT:
        return "it was written by another version of Keyclave"
    if age < timedelta(0):
        return "it was written in the future"
    evidence = (answer.evidence for answer in stored.answers if answer.evidence is not None)
    if not all(0 <= each.confidence <= 1 for each in evidence):
        return "it holds a confidence that is not between 0 and 1"
    return None
