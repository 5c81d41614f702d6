"""Finish or undo what an interrupted change left open.

Every change that touches a backend writes its intent first. An intent that nobody works on any more is resolved
here: creation and rotation are undone, so that the old state stands; revocation and destruction are finished, so
that nothing stays usable that somebody wanted gone. Each step may run again, and so may all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal

from keyclave.errors import KeyclaveError, KeyNotFound, OutcomeUnknown
from keyclave.models import KeyStatus, OperationType
from keyclave.plugin import KeyLabel, Location
from keyclave.services.destruction import destroy_in_backend, disable_in_backend
from keyclave.services.instance import Instance
from keyclave.services.owners import OWNER
from keyclave.services.recording import Recorder
from keyclave.state.records import StoredIntent, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["Recovery"]

Outcome = Literal["done", "undone"]

_SETTLED_AFTER = timedelta(seconds=60)
"""A backend that was asked to create a key and did not answer may still create it until then."""
_log = logging.getLogger("keyclave.recovery")


class Recovery:
    """Resolves open intents."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def open_intents(self) -> tuple[StoredIntent, ...]:
        """Return the changes that are neither finished nor undone, the oldest first."""
        with self._instance.store.read() as state:
            return state.intents.open()

    def run(self) -> tuple[StoredIntent, ...]:
        """Resolve every intent that nobody works on; return those that are resolved now.

        One that cannot be resolved yet stays open, and the log says why.
        """
        resolved = []
        for intent in self.open_intents():
            if not self._instance.owner.is_abandoned(intent):
                continue
            try:
                if self.resolve(intent):
                    resolved.append(intent)
            except KeyclaveError as error:
                _log.warning("operation %s stays open: %s", intent.operation_id, error)
        self._instance.owner.forget(frozenset(i.parameters.get(OWNER, "") for i in self.open_intents()))
        return tuple(resolved)

    @contextmanager
    def guarding(self, intent: StoredIntent) -> Iterator[None]:
        """Run the steps of an intent; where they fail, undo at once what can be undone.

        An unknown outcome, or an undoing that fails too, leaves the intent open for ``run``.
        """
        try:
            yield
        except OutcomeUnknown:
            raise
        except Exception:
            try:
                self.resolve(intent, definite=True)
            except KeyclaveError as error:
                _log.warning("operation %s stays open: %s", intent.operation_id, error)
            raise

    def resolve(self, intent: StoredIntent, *, definite: bool = False) -> bool:
        """Finish or undo one intent; return whether it is closed now.

        Args:
            intent: what to resolve.
            definite: the backend answered, so that what it made, if anything, can be found now.

        Raises:
            KeyclaveError: it could not be resolved, and stays open.
        """
        with self._recorder.operation(OperationType.RECOVER, str(intent.key_id)) as operation:
            operation.backend_id = intent.backend_id
            if intent.kind in ("create", "rotate"):
                outcome = self._undo_creation(intent, definite=definite)
            else:
                outcome = self._finish(intent)
            if outcome is None:
                return False
            with self._instance.store.write() as state:
                self._settle_version(state, intent)
                state.intents.close(intent.operation_id, outcome)
                self._instance.audit.append_in(state, operation.success())
        return True

    def _undo_creation(self, intent: StoredIntent, *, definite: bool) -> Outcome | None:
        """Destroy what was created; ``None`` while a late answer of the backend could still create it."""
        version = self._version(intent)
        if version is not None and version.status is KeyStatus.ACTIVE:
            return "done"
        backend = self._instance.backends.get(intent.backend_id)
        label = KeyLabel.parse(intent.label or "")
        try:
            reference = backend.find_key(label)
        except KeyNotFound:
            own = intent.parameters.get(OWNER) == self._instance.owner.name
            died_with_owner = backend.description.location is Location.IN_PROCESS and not own
            aged = datetime.now(UTC) - intent.updated_at > _SETTLED_AFTER
            return "undone" if definite or died_with_owner or aged else None
        backend.destroy_key(reference)
        return "undone"

    def _finish(self, intent: StoredIntent) -> Outcome:
        """Repeat the disabling or the destruction, which change nothing the second time."""
        with self._instance.store.read() as state:
            key = state.keys.by_id(intent.key_id)
            versions = state.keys.versions(intent.key_id)
        if intent.kind == "revoke":
            disable_in_backend(self._instance, key, versions)
        else:
            version = next(v for v in versions if v.version == intent.to_version)
            destroyed_at = destroy_in_backend(self._instance, key, version)
            with self._instance.store.write() as state:
                state.keys.update_version(key.key_id, version.version, destroyed_at=destroyed_at)
        return "done"

    def _settle_version(self, state: Transaction, intent: StoredIntent) -> None:
        """A version that never became active is revoked and gone."""
        if intent.kind != "rotate" or intent.to_version is None:
            return
        for version in state.keys.versions(intent.key_id):
            if version.version == intent.to_version and version.status is KeyStatus.PENDING:
                state.keys.update_version(
                    intent.key_id, version.version, status=KeyStatus.REVOKED, destroyed_at=datetime.now(UTC)
                )

    def _version(self, intent: StoredIntent) -> StoredVersion | None:
        with self._instance.store.read() as state:
            versions = state.keys.versions(intent.key_id)
        return next((v for v in versions if v.version == intent.to_version), None)
