"""Carry a plan out, a version at a time: intent, carry or renew, prove, switch, and the source used no more (FR-012).

Until the switch whatever goes wrong is undone, and the key is where it was; from then on it is finished. Each is
recovery's to do where this process is killed. What one version meets with does not concern the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from uuid import UUID

from keyclave.backends.backend import Backend
from keyclave.errors import Conflict, KeyclaveError, KeyDisabled, OutcomeUnknown, PolicyViolation
from keyclave.models import (
    KeyMigrationRecord,
    KeyStatus,
    MigrationPlan,
    MigrationStatus,
    MigrationStrategy,
    OperationType,
)
from keyclave.services.backends.selection import BackendSelector
from keyclave.services.instance import Instance
from keyclave.services.intents import new_intent, require_no_other
from keyclave.services.keys.destruction import followed_up
from keyclave.services.keys.generation import label_for
from keyclave.services.migration.approval import plan_in, plan_reference, require_valid, use_approval_in
from keyclave.services.migration.arrival import Arrival, Arrived, Moving
from keyclave.services.migration.notes import MIGRATION, complete_in, migration_in, switch_in
from keyclave.services.migration.places import disable_at_source, location_of
from keyclave.services.migration.planning import Planning
from keyclave.services.names import name_reference
from keyclave.services.recording import Operation, Recorder, failure_text
from keyclave.services.recovery import Recovery
from keyclave.state.records import StoredIntent, StoredKey, StoredVersion
from keyclave.state.store import Transaction

__all__ = ["MigrationRun", "Progress"]

Progress = Callable[[KeyMigrationRecord, int, int], None]
"""Called after each migration of a plan, with how many there were so far, and how many there are."""
_AS_APPROVED = (
    *("strategy", "method", "wrapping_key_origin", "source_backend_id", "source_uri"),
    *("requires", "downgrade"),
)
"""What a plan says of a version that must be so when it is carried out."""
_ANEW = "Make a new plan: it says what is possible now."
_log = logging.getLogger("keyclave.migration")


class MigrationRun:
    """Carries plans out."""

    def __init__(
        self,
        instance: Instance,
        recorder: Recorder,
        recovery: Recovery,
        selector: BackendSelector,
        planning: Planning,
    ) -> None:
        self._instance = instance
        self._recorder = recorder
        self._recovery = recovery
        self._selector = selector
        self._planning = planning
        self._arrival = Arrival(instance)

    def run(self, plan_id: UUID, progress: Progress | None) -> tuple[KeyMigrationRecord, ...]:
        """Carry a plan out; see `MigrationService.run`."""
        plan, records = self._take_up(plan_id)
        self._recovery.run()
        ended = []
        for number, record in enumerate(records, start=1):
            ended.append(self._carry_out(plan, record))
            if progress is not None:
                progress(ended[-1], number, len(records))
        return tuple(ended)

    def _take_up(self, plan_id: UUID) -> tuple[MigrationPlan, list[KeyMigrationRecord]]:
        """Use the approval of a plan, or go on where it was used before; return its migrations in their order."""
        with (
            self._recorder.operation(OperationType.MIGRATE, plan_reference(plan_id)) as operation,
            self._instance.store.write() as state,
        ):
            plan = plan_in(state, plan_id)
            operation.backend_id, operation.backend_type = plan.destination_backend_id, plan.destination_provider
            records = state.migrations.of_plan(plan_id)
            if not records:
                records = use_approval_in(state, plan)
                self._instance.audit.append_in(state, operation.success())
        order = [(str(planned.key_id), planned.version) for planned in plan.possible]
        return plan, sorted(records, key=lambda r: order.index((r.source_key_id, r.key_version)))

    def _carry_out(self, plan: MigrationPlan, record: KeyMigrationRecord) -> KeyMigrationRecord:
        try:
            return self._migrate(plan, record.migration_id)
        except KeyclaveError as error:
            _log.warning("version %d of key %r is not migrated: %s", record.key_version, record.key_name, error)
            return self._note(record, error)
        finally:
            self._instance.epoch.invalidate()

    def _note(self, record: KeyMigrationRecord, error: KeyclaveError) -> KeyMigrationRecord:
        """Record why a migration was not carried out. It has failed unless another run could succeed."""
        again = error.retryable or isinstance(error, (Conflict, OutcomeUnknown))
        with self._instance.store.write() as state:
            found = migration_in(state, record.migration_id)
            if found.status is not MigrationStatus.IN_PROGRESS:
                return found
            is_open = any(i.parameters.get(MIGRATION) == found.migration_id.hex for i in state.intents.open())
            status = MigrationStatus.IN_PROGRESS if again or is_open else MigrationStatus.FAILED
            noted = found.model_copy(update={"status": status, "error_message": failure_text(error)})
            state.migrations.put(noted)
        return noted

    def _migrate(self, plan: MigrationPlan, migration_id: UUID) -> KeyMigrationRecord:
        with self._instance.store.read() as state:
            record = migration_in(state, migration_id)
            if record.status is not MigrationStatus.IN_PROGRESS or record.rollback_reason is not None:
                return record
        with ExitStack() as working:
            with self._recorder.operation(OperationType.MIGRATE, name_reference(record.key_name)) as operation:
                working.enter_context(self._instance.owner.working(operation.operation_id))
                moving = self._read(plan, record, operation)
                operation.key_version = moving.number
                intent = self._begin(operation, moving)
                with self._recovery.guarding(intent):
                    arrived = self._arrival.bring(operation, moving)
                    self._switch(operation, intent, moving, arrived)
            return self._finish(intent, moving)

    def _read(self, plan: MigrationPlan, record: KeyMigrationRecord, operation: Operation) -> Moving:
        """Read what is to go, and refuse it unless it is what was planned and approved."""
        planned = plan.of_version(UUID(record.source_key_id), record.key_version)
        operation.key_reference, operation.key_version = record.source_key_id, record.key_version
        operation.backend_id, operation.backend_type = plan.destination_backend_id, plan.destination_provider
        with self._instance.store.read() as state:
            key = state.keys.by_id(planned.key_id)
            require_no_other(state, key)
            versions = state.keys.versions(key.key_id)
        version = versions[planned.version - 1]
        if version.status is KeyStatus.REVOKED:
            raise KeyDisabled("it was revoked since the plan was made", key_name=key.name)
        destination = self._selector.named(plan.destination_backend_id)
        _require_same_destination(plan, destination)
        now = self._planning.assess(key, version, destination, excepted=plan.exception is not None)
        if any(getattr(now, field) != getattr(planned, field) for field in _AS_APPROVED):
            raise PolicyViolation(
                f"it can no longer be migrated as it was planned and approved: {now.reason}", next_step=_ANEW
            )
        rekeyed = record.strategy is MigrationStrategy.REKEYED
        return Moving(
            record=record,
            planned=planned,
            key=key,
            version=version,
            number=versions[-1].version + 1 if rekeyed else version.version,
            source=self._instance.backend_of(version),
            destination=destination,
        )

    def _begin(self, operation: Operation, moving: Moving) -> StoredIntent:
        key, version, record = moving.key, moving.version, moving.record
        intent = new_intent(
            self._instance,
            operation,
            "migrate",
            key_id=key.key_id,
            backend_id=moving.destination.id,
            from_version=version.version,
            to_version=moving.number if record.strategy is MigrationStrategy.REKEYED else None,
            label=label_for(self._instance, operation, key.key_id, moving.number),
        )
        intent.parameters[MIGRATION] = record.migration_id.hex
        with self._instance.owner.write(operation.operation_id) as state:
            require_no_other(state, key)
            if migration_in(state, record.migration_id) != record:
                raise Conflict("somebody else is carrying this migration out", key_name=key.name)
            require_valid(record.administrative_approval)
            _require_unchanged(state, key, version)
            state.intents.add(intent)
        return intent

    def _switch(self, operation: Operation, intent: StoredIntent, moving: Moving, arrived: Arrived) -> None:
        """Let the destination keep the key from now on, all at once."""
        key, record = moving.key, moving.record
        with self._instance.owner.write(operation.operation_id) as state:
            _require_unchanged(state, key, moving.version)
            (reference,) = self._instance.audit.append_in(state, operation.success()) or (None,)
            if moving.planned.requires is not key.required_security_level:
                state.keys.require_level(key.key_id, moving.planned.requires)
            switch_in(
                state,
                key,
                intent,
                record.model_copy(
                    update={
                        "destination_key_id": record.source_key_id,
                        "destination_version": moving.number,
                        "destination_location": location_of(arrived.version),
                        "integrity_hash": arrived.integrity_hash,
                        "wrapping_key_hash": arrived.wrapping_key_hash,
                        "cryptographic_proof": arrived.proof,
                        "audit_reference": reference,
                    }
                ),
            )

    def _finish(self, intent: StoredIntent, moving: Moving) -> KeyMigrationRecord:
        self._instance.owner.require(intent.operation_id)
        with followed_up(moving.key, "it is in its destination, but not known to be disabled at its source yet"):
            disable_at_source(self._instance, moving.key, moving.record, moving.version)
        with self._instance.owner.write(intent.operation_id) as state:
            completed = complete_in(state, intent)
            state.intents.close(intent.operation_id, "done")
        return completed


def _require_same_destination(plan: MigrationPlan, destination: Backend) -> None:
    """Refuse a backend that has the name of the one that was approved, and is another, or shows another level."""
    described = destination.description
    approved = (plan.destination_provider, plan.destination_level, plan.destination_uri)
    if approved != (destination.provider_type, described.security_level, described.connection_uri):
        raise PolicyViolation(
            "it is not the backend that was approved: that was"
            f" {plan.destination_provider} at {plan.destination_uri}, of level {plan.destination_level.value}",
            backend_id=destination.id,
            next_step="Restore its settings, or make a new plan: it says what is possible now.",
        )


def _require_unchanged(state: Transaction, key: StoredKey, version: StoredVersion) -> None:
    """Refuse to go on with a version that was changed since it was read: revocation waits for nobody."""
    now = state.keys.version(key.key_id, version.version)
    if now.status is KeyStatus.REVOKED:
        raise KeyDisabled("it was revoked while it was migrated", key_name=key.name)
    if now != version:
        raise Conflict("somebody else changed this key", key_name=key.name)
