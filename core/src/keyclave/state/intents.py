"""Intents inside one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from keyclave.errors import IntegrityError, InvalidArgument
from keyclave.state.codec import Codec
from keyclave.state.records import IntentOutcome, StoredIntent
from keyclave.state.schema import INTENTS
from keyclave.state.session import Session
from keyclave.state.statements import SealedTable

__all__ = ["Intents"]

_TABLE = SealedTable(INTENTS, "operation_id")
_BY_ID = _TABLE.where("operation_id")
_OPEN = _TABLE.selection.where(INTENTS.c.outcome.is_(None)).order_by(INTENTS.c.created_at, INTENTS.c.operation_id)
_CODEC = Codec(StoredIntent)
_CHANGEABLE = frozenset({"to_version", "backend_id", "label", "parameters"})


class Intents:
    """What is being done, and what was interrupted."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, intent: StoredIntent) -> None:
        """Add an intent."""
        self._session.insert(_TABLE, _CODEC.to_row(intent))

    def advance(self, operation_id: UUID, step: str, **changes: Any) -> StoredIntent:
        """Note the next step of an open intent, and return what the intent is now.

        Args:
            operation_id: the intent.
            step: the step that begins now.
            changes: ``to_version``, ``backend_id``, ``label`` or ``parameters``.

        Raises:
            InvalidArgument: a field that never changes.
            IntegrityError: there is no such intent.
        """
        if wrong := changes.keys() - _CHANGEABLE:
            raise InvalidArgument(f"{', '.join(sorted(wrong))} of an intent cannot be changed")
        return self._write(operation_id, {"step": step, **changes})

    def close(self, operation_id: UUID, outcome: IntentOutcome) -> StoredIntent:
        """Close an open intent as *done* or *undone*, and return it. The database refuses to do it twice.

        Raises:
            IntegrityError: there is no such intent.
        """
        return self._write(operation_id, {"outcome": outcome})

    def get(self, operation_id: UUID) -> StoredIntent | None:
        """Return the intent of an operation, open or closed; ``None`` if it has none."""
        row = self._session.row(_TABLE, _BY_ID, the_operation_id=operation_id.hex)
        return None if row is None else _CODEC.to_record(row)

    def open(self) -> tuple[StoredIntent, ...]:
        """Return the intents that are neither done nor undone, the oldest first."""
        return tuple(_CODEC.to_record(row) for row in self._session.rows(_TABLE, _OPEN))

    def _write(self, operation_id: UUID, changes: dict[str, Any]) -> StoredIntent:
        row = self._session.row(_TABLE, _BY_ID, the_operation_id=operation_id.hex)
        if row is None:
            raise IntegrityError(f"the intent of operation {operation_id} is missing")
        row.update(_CODEC.columns({**changes, "updated_at": datetime.now(UTC)}))
        self._session.update(_TABLE, row)
        return _CODEC.to_record(row)
