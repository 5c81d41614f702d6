"""New versions of keys, as applications and operators make them: ``clave.rotation``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keyclave.models import KeyHandle
from keyclave.services.clock import why_not_trusted
from keyclave.services.instance import Instance
from keyclave.services.periodic import Periodic
from keyclave.services.results import DueReport
from keyclave.services.rotation.due_work import DueWork
from keyclave.services.rotation.promotion import Promotion
from keyclave.services.rotation.renewal import Renewal
from keyclave.services.rotation.rollback import Rollback

__all__ = ["RotationService"]

_EVERY = timedelta(seconds=60)


class RotationService:
    """Rotate keys by hand or when they are due. Every call may be made from any thread."""

    def __init__(
        self, instance: Instance, *, renewal: Renewal, promotion: Promotion, rollback: Rollback, due_work: DueWork
    ) -> None:
        self._instance = instance
        self._renewal = renewal
        self._promotion = promotion
        self._rollback = rollback
        self._due_work = due_work
        self._worker = Periodic("keyclave-rotation", _EVERY, self._run_until_stopped)

    def rotate(
        self, name: str, *, algorithm: str | None = None, validation_period: timedelta | None = None
    ) -> KeyHandle:
        """Make a new version of a key, and return it.

        It is PENDING for the validation period: the version before still signs, the new one signs beside it, and
        verifiers accept either. Then it is ACTIVE, and the version before is DEPRECATED: it verifies and decrypts as
        long as it is retained. Without a validation period, and for a key that encrypts, it is ACTIVE at once.

        Args:
            name: the key.
            algorithm: of the new version, to change from one signature algorithm to another; ``None`` keeps it.
            validation_period: how long both sign; zero for none; ``None`` takes the key's policy. A key that encrypts
                has none, and is refused one.

        Raises:
            InvalidArgument: the key cannot have this algorithm, or this period.
            KeyNotFound: there is no such key.
            KeyDisabled: the key is revoked.
            Conflict: somebody else is changing the key, or a version of it is under validation.
            PolicyViolation: the key's policy forbids it, or forbids it yet, or the backend no longer shows the level
                that the key requires (FR-014).
            CapabilityUnsupported: the backend cannot do the algorithm.
            IntegrityError: the new version failed its validation, and was destroyed again.
            BackendError: the backend failed; the version before is untouched.
        """
        try:
            return self._renewal.rotate(name, algorithm=algorithm, validation_period=validation_period)
        finally:
            self._instance.epoch.invalidate()

    def promote(self, name: str) -> KeyHandle:
        """End the validation period of a key now, and return the version that is active from now on.

        Raises:
            KeyNotFound: there is no such key.
            Conflict: no version of it is under validation.
        """
        try:
            return self._promotion.promote(name)
        finally:
            self._instance.epoch.invalidate()

    def rollback(self, name: str, reason: str) -> KeyHandle:
        """Give the version of a key up that is under validation, and return the one that stays active.

        The new version is revoked, so that nothing verifies with it any more, and destroyed in its backend. After
        the validation period there is no way back but to rotate again.

        Args:
            name: the key.
            reason: why; 1 to 1024 characters, not all blank.

        Raises:
            KeyNotFound: there is no such key.
            Conflict: no version of it is under validation.
            OutcomeUnknown: it signs no more, but its backend did not destroy it; recovery repeats that.
        """
        try:
            return self._rollback.rollback(name, reason)
        finally:
            self._instance.epoch.invalidate()

    def run_due(self) -> DueReport:
        """Do what is due, and report it: rotate keys, end validation periods, destroy what need not be kept.

        One key's failure leaves the others. A run does a bounded number of rotations in each backend, so that
        many keys that are due at once are spread over several runs.
        """
        return self._due_work.run()

    def suspended(self) -> str | None:
        """Return why nothing is destroyed by its age at present; ``None`` while it may be, or nobody ever ran it."""
        with self._instance.store.read() as state:
            witnessed = state.clock.witnessed()
        return None if witnessed is None else why_not_trusted(witnessed, datetime.now(UTC))

    def confirm_clock(self) -> datetime:
        """Trust the clock, after it jumped, or after nothing was run for long; return the time that is trusted."""
        now = datetime.now(UTC)
        with self._instance.store.write() as state:
            state.clock.witness(now)
        return now

    def start(self) -> None:
        """Do what is due each minute, 10 % more or less, in a thread of its own until ``stop``, or until closing."""
        self._worker.start()

    def stop(self) -> None:
        """End the thread that ``start`` started, and wait for the keys that it is changing."""
        self._worker.stop()

    def _run_until_stopped(self) -> None:
        self._due_work.run(self._worker.is_ending)
