"""The audit log says when a backend showed less than before while it was open (FR-014)."""

from __future__ import annotations

from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.backends.manager import BackendManager
from keyclave.backends.rereading import LostLevel
from keyclave.errors import PolicyViolation
from keyclave.models import OperationType
from keyclave.services.recording import Recorder
from keyclave.state.store import Transaction

__all__ = ["LostLevels"]


class LostLevels:
    """Records each loss that this process noticed, once.

    Other processes notice by themselves, each when it reads the level again, and record that as well: no row in the
    state could tell whether they mean the same loss.
    """

    def __init__(self, backends: BackendManager, audit: AuditLog, recorder: Recorder) -> None:
        self._backends = backends
        self._audit = audit
        self._recorder = recorder

    def record_in(self, state: Transaction) -> None:
        """Record those that are not in the log yet; an earlier attempt may have been durable without an answer."""
        lost = (each for each in self._backends.lost_levels() if state.audit.find(each.event_id) is None)
        self._audit.append_in(state, *map(self._entry, lost))

    def _entry(self, lost: LostLevel) -> AuditEntry:
        operation = self._recorder.part(OperationType.CHECK_LEVEL)
        operation.operation_id = lost.event_id
        operation.key_reference = f"backend:{lost.backend_id}"
        operation.backend_id = lost.backend_id
        operation.backend_type = self._backends.plugin_of(lost.backend_id)
        return operation.failure(PolicyViolation(lost.problem))
