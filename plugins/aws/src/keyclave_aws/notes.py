"""Durable notes of the creations and imports that were begun: what was cut off is looked for by the next call."""

from __future__ import annotations

import threading
from pathlib import Path

from keyclave.errors import BackendUnavailable
from keyclave.plugin import KeyLabel
from keyclave.plugin.files import private_directory, remove_private, replace_private

__all__ = ["Notes"]

_ATTEMPTS = 20


class Notes:
    """Files named after labels, in a directory of the backend.

    Args:
        data_directory: the backend's own directory.
    """

    def __init__(self, data_directory: Path) -> None:
        self._directory = data_directory / "creating"
        # A removal takes what interrupted writes left as well, and cannot tell it from what is being written: threads
        # wait for each other, and a process from which another took it writes it again.
        self._lock = threading.Lock()

    def has(self, label: KeyLabel) -> bool:
        """Return whether a creation of this label was begun and not finished."""
        return self._path(label).exists()

    def write(self, label: KeyLabel) -> None:
        """Note that a creation begins, and return once that is durable.

        Raises:
            BackendUnavailable: it cannot be noted; nothing was sent.
            ConfigurationError: the directory lets others in.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self._lock:
                    private_directory(self._directory)
                    replace_private(self._path(label), str(label).encode())
            except OSError as error:
                reason = error.strerror
                if not isinstance(error, FileNotFoundError):
                    break
            else:
                return
        raise BackendUnavailable(f"the creation cannot be noted in {self._directory}: {reason}", retryable=False)

    def remove(self, label: KeyLabel) -> None:
        """Remove a note. One that stays costs a look at all keys, and nothing else."""
        try:
            with self._lock:
                remove_private(self._path(label))
        except OSError:
            return

    def _path(self, label: KeyLabel) -> Path:
        return self._directory / f"{label.key_id.hex}-{label.version}-{label.operation_id.hex}"
