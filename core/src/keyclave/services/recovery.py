"""Finish or undo what an interrupted change left open.

Every change that touches a backend writes its intent first. An intent that nobody works on any more is resolved
here: creation, adoption and rotation are undone, so that the old state stands; revocation and destruction are
finished, so that nothing stays usable that somebody wanted gone, and so is the cancellation of a destruction. A
validation period that is over ends with the promotion. A migration and its rollback are undone until the key was
switched, and finished from then on. Each step may run again, and so may all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from keyclave.errors import KeyclaveError, KeyNotFound, OutcomeUnknown
from keyclave.models import OperationType
from keyclave.services.instance import Instance
from keyclave.services.intents import KEY_NAME, WINDOW, is_migration
from keyclave.services.migration.recovery import is_to_be_undone
from keyclave.services.ownership.leases import LeaseLost
from keyclave.services.ownership.owners import found_open
from keyclave.services.periodic import Periodic
from keyclave.services.recording import Operation, Recorder
from keyclave.services.resolution import finish, settles_at, undo
from keyclave.state.records import StoredIntent

__all__ = ["Recovery"]

_UNDONE = frozenset({"create", "adopt", "rotate"})
_MAKING = _UNDONE | {"migrate"}
"""They make something in a backend, under a label of their own."""
_EVERY = timedelta(seconds=60)
_log = logging.getLogger("keyclave.recovery")


class Recovery:
    """Resolves open intents."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder
        self._worker = Periodic("keyclave-recovery", _EVERY, self.run)

    def start(self) -> None:
        """Run now and each minute, 10 % more or less, in a thread of its own until ``stop``, or until closing.

        Opening the instance runs once. This is for an instance that stays open, so that it takes over what other
        processes leave behind; ``clave.rotation.start`` does so too, and rotates besides.
        """
        self._worker.start()

    def stop(self) -> None:
        """End the thread that ``start`` started, and wait for the change that it is resolving."""
        self._worker.stop()

    def open_intents(self) -> tuple[StoredIntent, ...]:
        """Return the changes that are neither finished nor undone, the oldest first.

        A rotation in its validation period is not among them: there is nothing to do until it ends.
        """
        return tuple(intent for intent in self._open() if not self.is_waiting(intent))

    def waiting(self) -> tuple[StoredIntent, ...]:
        """Return the rotations that are in their validation period, the oldest first."""
        return tuple(intent for intent in self._open() if self.is_waiting(intent))

    def is_waiting(self, intent: StoredIntent) -> bool:
        """Return whether an open change is a rotation in its validation period, which needs no process."""
        return intent.step == WINDOW

    def is_abandoned(self, intent: StoredIntent) -> bool:
        """Return whether nobody works on an open change any more, so that it is resolved at the next occasion.

        A rotation in its validation period is not: it waits for its end.
        """
        return not self.is_waiting(intent) and self._instance.owner.is_abandoned(intent)

    def process_at(self, intent: StoredIntent) -> str | None:
        """Return which process works on an open change, as ``host:process id``.

        Returns:
            ``None`` where none does, or where it is not known: an earlier version did not write it down, or another
            process has taken the change over.
        """
        free = self.is_waiting(intent) or self.is_abandoned(intent)
        return None if free else self._instance.owner.process_at(intent)

    def key_name(self, intent: StoredIntent) -> str | None:
        """Return the name of the key that an open change is of; ``None`` where that is not known."""
        with self._instance.store.read() as state:
            try:
                return state.keys.by_id(intent.key_id).name
            except KeyNotFound:
                return intent.parameters.get(KEY_NAME)

    def describe(self, intent: StoredIntent) -> str:
        """Return which change of which key an open change is, in words for people."""
        name = self.key_name(intent)
        key = str(intent.key_id) if name is None else f"{name!r} ({intent.key_id})"
        return f"{intent.kind} of key {key} in backend {intent.backend_id!r}"

    def _open(self) -> tuple[StoredIntent, ...]:
        with self._instance.store.read() as state:
            return state.intents.open()

    def run(self) -> tuple[StoredIntent, ...]:
        """Resolve every intent that nobody works on; return those that are resolved now.

        One that cannot be resolved yet stays open, and the log says why.
        """
        resolved = []
        for intent in self._open():
            if not (self._is_over(intent) if intent.step == WINDOW else self.is_abandoned(intent)):
                continue
            if self._try(intent, definite=False):
                resolved.append(intent)
        self._instance.owner.forget()
        return tuple(resolved)

    def _is_over(self, intent: StoredIntent) -> bool:
        """Return whether the validation period of a rotation is over."""
        with self._instance.store.read() as state:
            version = state.keys.version(intent.key_id, intent.to_version or 0)
        return version.validation_ends_at is not None and version.validation_ends_at <= datetime.now(UTC)

    @contextmanager
    def guarding(self, intent: StoredIntent) -> Iterator[None]:
        """Run the steps of an intent; where they fail, undo at once what can be undone.

        An unknown outcome, or an undoing that fails too, leaves the intent open for ``run``. Where somebody else took
        the intent over, what was made since then is removed: they may have looked for it before it was there.

        Raises:
            LeaseLost: others may have taken the intent over.
        """
        try:
            yield
        except OutcomeUnknown:
            raise
        except Exception as error:
            lost = isinstance(error, LeaseLost) or self._instance.owner.has_lost(intent.operation_id)
            if not self._try(intent, definite=True) and lost and intent.kind in _MAKING:
                self._withdraw(intent)
            if lost:
                raise LeaseLost from error  # whatever failed: somebody else may have undone what it needs
            raise

    def _try(self, intent: StoredIntent, *, definite: bool) -> bool:
        try:
            return self._resolve(intent, definite=definite)
        except KeyclaveError as error:
            self._warn(intent, str(error))
        return False

    def _warn(self, intent: StoredIntent, reason: str) -> None:
        _log.warning("%s stays open (operation %s): %s", self.describe(intent), intent.operation_id, reason)

    def _resolve(self, intent: StoredIntent, *, definite: bool) -> bool:
        """Finish or undo one intent; return whether this call closed it.

        Whoever worked on it may have closed it since it was read, and what it made may be in use: then nothing is
        done. With ``definite`` the backend answered, so that what it made, if anything, can be found now.
        """
        owner = self._instance.owner
        kind = OperationType.PROMOTE if intent.step == WINDOW else OperationType.RECOVER
        with owner.working(intent.operation_id):
            found = owner.take_over(intent)
            if found is None:
                return False
            with self._recorder.operation(kind, str(intent.key_id)) as operation:
                self._describe(operation, found)
                closed = self._close(found, operation, definite=definite)
        self._instance.epoch.invalidate()
        return closed

    def _describe(self, operation: Operation, intent: StoredIntent) -> None:
        operation.key_version = intent.to_version or (intent.from_version if is_migration(intent) else None)
        operation.backend_id = intent.backend_id
        if intent.backend_id in self._instance.backends.ids():
            operation.backend_type = self._instance.backends.plugin_of(intent.backend_id)

    def _close(self, intent: StoredIntent, operation: Operation, *, definite: bool) -> bool:
        """Finish or undo an intent whose lease is held."""
        self._instance.owner.require(intent.operation_id)
        undone = is_to_be_undone(intent) or (intent.kind in _UNDONE and intent.step != WINDOW)
        if undone:
            note = undo(self._instance, intent, operation, definite=definite)
        else:
            note = finish(self._instance, intent, operation)
        if note is None:
            settled = f"{settles_at(intent):%Y-%m-%d %H:%M:%S}"
            self._warn(intent, f"its backend may still carry it out; `keyclave recover` knows after {settled} UTC")
            return False
        with suppress(LeaseLost), self._instance.owner.write(intent.operation_id) as state:
            if found_open(state, intent) == intent:
                note(state)
                state.intents.close(intent.operation_id, "undone" if undone else "done")
                self._instance.audit.append_in(state, operation.success())
                return True
        return False  # somebody else was faster

    def _withdraw(self, intent: StoredIntent) -> None:
        """Remove what was made for a change that somebody else has undone, or is about to."""
        try:
            with self._recorder.operation(OperationType.RECOVER, str(intent.key_id)) as operation:
                self._describe(operation, intent)
                undo(self._instance, intent, operation, definite=True)
                self._instance.audit.append(operation.success())
        except KeyclaveError as error:
            _log.warning("operation %s may have left a key in its backend: %s", intent.operation_id, error)
