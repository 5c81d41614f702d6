"""Keys go from one backend to another, as operators let them: ``clave.migration`` (FR-012)."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from keyclave.models import KeyMigrationRecord, MigrationApproval, MigrationPlan
from keyclave.services.instance import Instance
from keyclave.services.migration.approval import Approving, plan_in
from keyclave.services.migration.planning import Planning
from keyclave.services.migration.retirement import Retirement
from keyclave.services.migration.reversal import Reversal
from keyclave.services.migration.run import MigrationRun, Progress
from keyclave.services.migration.verification import MigrationVerifier
from keyclave.services.results import MigrationVerification

__all__ = ["MigrationService"]


class MigrationService:
    """Migrate keys: plan, approve, run, verify, and at the end retire the source. Any thread may make any call.

    Applications keep calling a key by its name, and notice nothing. Any call may raise `InvalidArgument` for an id
    that is of no plan or migration, `BackendError` when a backend does not do what was asked, and `AuditUnavailable`
    when it could not be recorded.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        planning: Planning,
        approving: Approving,
        run: MigrationRun,
        verifier: MigrationVerifier,
        reversal: Reversal,
        retirement: Retirement,
    ) -> None:
        self._instance = instance
        self._planning = planning
        self._approving = approving
        self._run = run
        self._verifier = verifier
        self._reversal = reversal
        self._retirement = retirement

    def plan(self, names: Iterable[str], destination: str, *, exception: str | None = None) -> MigrationPlan:
        """Find out how keys would go to another backend, without changing anything in one, and keep that as a plan.

        It tells for each version of each key whether the key itself goes (WRAPPED), a new key takes over (REKEYED),
        or neither, and why. Deprecated versions that sign stay, since what they signed is verified without a
        backend; those that decrypt go if they can be wrapped.

        Args:
            names: the keys.
            destination: the configured backend that they are to go to.
            exception: the reason for which a key may go to a lower level than it has; ``None`` for no such exception.
                Nothing lets a key go below the level that the environment requires.

        Raises:
            KeyNotFound: there is no such key.
            ConfigurationError: no backend of that name is configured.
            PolicyViolation: the policy lets that backend take no keys at all.
        """
        return self._planning.plan(names, destination, exception)

    def approve(self, plan_id: UUID, justification: str) -> MigrationApproval:
        """Agree to a plan as it is, for 24 hours and for one run.

        Args:
            plan_id: the plan.
            justification: why; 1 to 1024 characters, not all blank.

        Raises:
            PolicyViolation: the same principal made the plan.
            Conflict: it was run already.
        """
        return self._approving.approve(plan_id, justification)

    def run(self, plan_id: UUID, progress: Progress | None = None) -> tuple[KeyMigrationRecord, ...]:
        """Carry an approved plan out, and return its migrations, in the order of the plan.

        The approval is used by the first run. A further one goes on with what is not ended, such as after a kill;
        what fails with one version leaves the others. A migration that another run could still carry out is
        IN_PROGRESS, with the reason; one that it could not has FAILED.

        Args:
            plan_id: the plan.
            progress: called after each migration with its record, how many there were so far, and how many there are
                in all.

        Raises:
            PolicyViolation: the plan is not approved, or not any more.
        """
        return self._run.run(plan_id, progress)

    def verify(self, migration_id: UUID) -> MigrationVerification:
        """Prove a migration again, from its stored proof and by the keys that still exist.

        Raises:
            IntegrityError: it does not hold.
            Conflict: the migration has no proof yet.
        """
        return self._verifier.verify(migration_id)

    def rollback(self, migration_id: UUID, reason: str) -> KeyMigrationRecord:
        """Let the source keep the key again, and destroy it at the destination, which must list it no more.

        What a new key signed since it took over (REKEYED) still verifies: its version is DEPRECATED from then on.
        A migration that was not begun yet never is.

        Args:
            migration_id: the migration.
            reason: why; 1 to 1024 characters, not all blank.

        Raises:
            Conflict: its source is retired or destroyed; or the version was destroyed or moved on since, or a new key
                was rotated, or has encrypted since then, which only it decrypts.
            KeyDisabled: the key is revoked.
            PolicyViolation: the source no longer shows the level that the key required there; nothing is changed.
            IntegrityError: the source key does not work any more; nothing is changed.
            OutcomeUnknown: the source keeps it again, but the destination is not known to have destroyed it; recovery
                repeats that, and the migration stays IN_PROGRESS until then.
        """
        try:
            return self._reversal.rollback(migration_id, reason)
        finally:
            self._instance.epoch.invalidate()

    def retire(self, migration_id: UUID, *, confirm: str) -> KeyMigrationRecord:
        """Destroy the key at the source of a completed migration. There is no way back.

        Args:
            migration_id: the migration.
            confirm: the name of the key, to confirm it.

        Raises:
            InvalidArgument: that is not its name.
            PolicyViolation: the source must still be kept, at least 30 days; or the clock is not trusted.
            Conflict: the migration is not completed, or its source is retired already.
            CapabilityUnsupported: the source cannot destroy keys, or cannot list them.
            IntegrityError: the key does not work at its destination.
            OutcomeUnknown: the source did not destroy it, or did not say so; recovery repeats that.
        """
        try:
            return self._retirement.retire(migration_id, confirm)
        finally:
            self._instance.epoch.invalidate()

    def list(self) -> tuple[KeyMigrationRecord, ...]:
        """Return all migrations, the oldest first."""
        with self._instance.store.read() as state:
            return tuple(sorted(state.migrations.all(), key=lambda record: (record.migrated_at, record.key_name)))

    def plans(self) -> tuple[MigrationPlan, ...]:
        """Return all plans, the oldest first."""
        with self._instance.store.read() as state:
            return tuple(sorted(state.plans.all(), key=lambda plan: plan.created_at))

    def get_plan(self, plan_id: UUID) -> MigrationPlan:
        """Return one plan."""
        with self._instance.store.read() as state:
            return plan_in(state, plan_id)

    def approvals(self, plan_id: UUID) -> tuple[MigrationApproval, ...]:
        """Return the approvals of a plan, the oldest first."""
        with self._instance.store.read() as state:
            return tuple(sorted(state.approvals.of_plan(plan_id), key=lambda each: each.approved_at))
