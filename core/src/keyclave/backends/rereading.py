"""What shows the level of an open backend counts for an hour; then it is read again (FR-014).

Nobody who signs waits for that: from ten minutes before the hour is over it is read beside the calls, by a thread
that ends with the answer. Only who comes after an hour without one, because nobody used the backend or because it
did not answer, waits for it. A backend that does not answer then is not used.

There is no lock, which a fork could leave closed: two that read at once do no harm.
"""

from __future__ import annotations

import logging
import threading
import uuid
from copy import copy
from time import monotonic

from keyclave.backends.backend import Backend
from keyclave.backends.contract import contract_problem
from keyclave.backends.description import description_problem
from keyclave.errors import BackendUnavailable, KeyclaveError, PolicyViolation
from keyclave.plugin.records import BackendDescription, Record

__all__ = ["LostLevel", "Rereading"]

_COUNTS = 3600.0
"""Seconds for which evidence counts."""
_AHEAD = 600.0
"""Seconds before their end in which it is read again beside the calls."""
_PAUSE = 60.0
"""Seconds from a question without an answer to the next."""
_log = logging.getLogger("keyclave.backends")


class LostLevel(Record, frozen=True, kw_only=True):
    """A backend showed less than before while it was open.

    Attributes:
        event_id: by which the audit log knows whether it is recorded.
        backend_id: the backend.
        problem: what it shows, or which rule it breaks by now.
    """

    event_id: uuid.UUID
    backend_id: str
    problem: str


class Rereading:
    """Reads the level of one open backend again.

    Args:
        backend: the backend.
        plugin: the name of its plugin.
        read_at: the monotonic time at which what it shows now was asked for.

    Attributes:
        withdrawn: another object each time that the level, or the backend, does not count any more; what is bound to
            its keys must be bound anew then.
        lost: each time that the backend showed less than before.
    """

    def __init__(self, backend: Backend, plugin: str, read_at: float) -> None:
        self.withdrawn: object = None
        self.lost: tuple[LostLevel, ...] = ()
        self._backend = backend
        self._plugin = plugin
        self._read_at = read_at
        self._ask_at = read_at + _COUNTS - _AHEAD
        self._lapsed = False
        self._failure: KeyclaveError | None = None
        self._failed_at = read_at
        self._refused: PolicyViolation | None = None

    def watch(self) -> None:
        """Notice that the hour is over, or begin to read again before it is; neither waits."""
        now = monotonic()
        if now - self._read_at >= _COUNTS:
            if not self._lapsed:
                self._lapsed, self.withdrawn = True, object()
        elif now >= self._ask_at:
            self._ask_at = now + _PAUSE
            threading.Thread(target=self._read_beside, name=f"keyclave-{self._backend.id}-level", daemon=True).start()

    def require(self) -> None:
        """Refuse a backend whose level does not count; ask for it first where its hour is over.

        Raises:
            BackendUnavailable: it does not answer, or broke its contract.
            PolicyViolation: it breaks a rule of its environment by now.
        """
        self.watch()
        if monotonic() - self._read_at >= _COUNTS:
            self._read_now()
        if self._refused is not None:
            raise copy(self._refused)

    def _read_now(self) -> None:
        failure = self._failure
        if failure is None or monotonic() - self._failed_at >= _PAUSE:
            try:
                self._read()
            except KeyclaveError as error:
                failure = error
            else:
                return
        raise BackendUnavailable(
            f"what shows its level was read more than an hour ago, and it does not say it again: {failure.message}",
            backend_id=self._backend.id,
            next_step=f"Make the backend available; it is asked again after {_PAUSE:.0f} s (FR-014).",
        )

    def _read_beside(self) -> None:
        try:
            self._read()
        except KeyclaveError as error:
            if not self._backend.calls.faults:  # not closed meanwhile
                _log.warning("the level of backend %r could not be read again: %s", self._backend.id, error.message)

    def _read(self) -> None:
        asked_at = monotonic()
        try:
            description = self._describe()
        except KeyclaveError as error:
            self._failure, self._failed_at = error, monotonic()
            raise
        self._take(description)
        self._read_at, self._ask_at = asked_at, asked_at + _COUNTS - _AHEAD
        self._lapsed, self._failure = False, None

    def _describe(self) -> BackendDescription:
        calls = self._backend.calls
        description = calls.call("describe", BackendDescription)
        problem = contract_problem(description.contract) or description_problem(
            description, self._plugin, accept_simulator=self._backend.accept_simulator
        )
        if problem is not None:
            raise calls.fault("describe", problem)
        return description

    def _take(self, description: BackendDescription) -> None:
        """Let the backend show what it says now, and withdraw it where that is less than it was."""
        backend, before = self._backend, self._backend.description
        if not backend.show(description):
            return
        level = backend.description.security_level
        if level is not before.security_level:
            problem = f"it was {before.security_level.value} and is {level.value} now"
            _log.error(
                "backend %r lost its level: %s, and keys that require more are not used (FR-014): %s",
                backend.id,
                problem,
                " ".join(description.evidence),
            )
            self._withdraw(f"the backend lost its level: {problem} (FR-014)")
        try:
            backend.standing()
        except PolicyViolation as error:
            _log.error("backend %r is not used any more: %s", backend.id, error.message)
            self._refused = error
            self._withdraw(f"the backend is not used any more: {error.message}")

    def _withdraw(self, problem: str) -> None:
        self.lost += (LostLevel(event_id=uuid.uuid4(), backend_id=self._backend.id, problem=problem),)
        self.withdrawn = object()
