"""What a run is about to make, written down before it is made, so that a killed run can be cleaned up after.

One line of JSON for each event. It is handed to the operating system before the call, which a kill of the process
cannot undo.
"""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

import msgspec
from keyclave.plugin import KeyLabel, KeyReference

from keyclave_contract_tests.labels import name_of
from keyclave_contract_tests.results import Scheduled

__all__ = ["Journal"]


class Journal:
    """The journal of one run. Safe to share between threads, and with children that append.

    Args:
        path: its file; created where it is missing, and read where it is not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open = _read(path) if path.exists() else {}
        self._scheduled: dict[KeyLabel, Scheduled] = {}
        self._file = path.open("ab", buffering=0)

    @property
    def labels(self) -> tuple[KeyLabel, ...]:
        """What may still be there, the oldest first."""
        with self._lock:
            return tuple(self._open)

    def planned(self, label: KeyLabel) -> None:
        """Note that a key of this label is about to be made."""
        self._note(label, "planned")

    def gone(self, label: KeyLabel) -> None:
        """Note that no key of this label is there."""
        self._note(label, "gone")

    @property
    def scheduled(self) -> tuple[Scheduled, ...]:
        """The keys whose deletion this process scheduled, and did not call off, the oldest first."""
        with self._lock:
            return tuple(self._scheduled.values())

    def postponed(self, key: KeyReference, gone_at: datetime) -> None:
        """Note that a key will be gone at a time."""
        with self._lock:
            self._scheduled[key.label] = Scheduled(name=name_of(key.label), uri=key.uri, gone_at=gone_at)

    def restored(self, key: KeyReference) -> None:
        """Note that a key is there again."""
        with self._lock:
            self._scheduled.pop(key.label, None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self, label: KeyLabel, event: str) -> None:
        line = msgspec.json.encode({"event": event, "name": name_of(label), "label": str(label)}) + b"\n"
        with self._lock:
            self._file.write(line)
            if event == "planned":
                self._open[label] = None
            else:
                self._open.pop(label, None)


def _read(path: Path) -> dict[KeyLabel, None]:
    """Return the labels that may still be there; a last line that was cut off was never followed by a call."""
    found: dict[KeyLabel, None] = {}
    for line in path.read_bytes().splitlines():
        try:
            entry = msgspec.json.decode(line, type=dict[str, str])
        except msgspec.DecodeError:
            continue
        label = KeyLabel.parse(entry["label"])
        if entry["event"] == "planned":
            found[label] = None
        else:
            found.pop(label, None)
    return found
