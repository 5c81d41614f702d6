"""Somebody else agrees to exactly one plan, and that agreement is used once (FR-012)."""

from __future__ import annotations

import unicodedata
import uuid
from datetime import UTC, datetime
from uuid import UUID

from keyclave.errors import Conflict, InvalidArgument, PolicyViolation
from keyclave.models import (
    APPROVAL_LIFETIME,
    KeyMigrationRecord,
    MigrationApproval,
    MigrationPlan,
    OperationType,
    PlannedMigration,
)
from keyclave.models.migration import ApprovalRecord
from keyclave.services.instance import Instance
from keyclave.services.keys.destruction import require_reason
from keyclave.services.migration.places import location_of
from keyclave.services.recording import Recorder
from keyclave.state.store import Transaction

__all__ = ["Approving", "plan_in", "plan_reference", "require_valid", "use_approval_in"]


class Approving:
    """Approves plans."""

    def __init__(self, instance: Instance, recorder: Recorder) -> None:
        self._instance = instance
        self._recorder = recorder

    def approve(self, plan_id: UUID, justification: str) -> MigrationApproval:
        """Approve a plan; see `MigrationService.approve`."""
        with self._recorder.operation(OperationType.APPROVE_MIGRATION, plan_reference(plan_id)) as operation:
            require_reason(None, justification)
            now = datetime.now(UTC)
            with self._instance.store.write() as state:
                plan = plan_in(state, plan_id)
                operation.backend_id, operation.backend_type = plan.destination_backend_id, plan.destination_provider
                _require_other_principal(plan, self._instance.principal)
                if not plan.possible:
                    raise InvalidArgument(_NOTHING, next_step=_see(plan))
                if any(approval.consumed_at is not None for approval in state.approvals.of_plan(plan_id)):
                    raise Conflict("this plan was run already", retryable=False, next_step=_ANEW)
                approval = MigrationApproval(
                    approval_id=uuid.uuid4(),
                    plan_id=plan_id,
                    plan_hash=plan.plan_hash,
                    approved_by=self._instance.principal,
                    approved_at=now,
                    approval_justification=justification,
                    expires_at=now + APPROVAL_LIFETIME,
                )
                state.approvals.put(approval)
                self._instance.audit.append_in(state, operation.success())
        return approval


_LIST = "`keyclave migrate list --plans` shows the plans and their ids."
_NOTHING = "nothing in this plan can be migrated"
_ANEW = "Make a new plan for what is still to be migrated."
_APPROVE = "Let somebody else than its requester run `keyclave migrate approve` with the id of the plan."


def plan_reference(plan_id: UUID) -> str:
    """Return how the audit log refers to a plan."""
    return f"plan:{plan_id}"


def plan_in(state: Transaction, plan_id: UUID) -> MigrationPlan:
    """Return a plan.

    Raises:
        InvalidArgument: there is none of this id.
    """
    plan = state.plans.get(plan_id)
    if plan is None:
        raise InvalidArgument("there is no such migration plan", next_step=_LIST)
    return plan


def use_approval_in(state: Transaction, plan: MigrationPlan) -> tuple[KeyMigrationRecord, ...]:
    """Use the approval of a plan, and return the migrations that it stands for from now on.

    Raises:
        PolicyViolation: it is not approved, or no more, or there is nothing in it to approve.
    """
    if not plan.possible:
        raise PolicyViolation(_NOTHING, next_step=_see(plan))
    now = datetime.now(UTC)
    valid = [a for a in state.approvals.of_plan(plan.plan_id) if a.approved_at <= now < a.expires_at]
    if not valid:
        raise PolicyViolation("the plan is not approved, or its approval has expired (FR-012)", next_step=_APPROVE)
    approval = max(valid, key=lambda a: a.expires_at)
    _require_other_principal(plan, approval.approved_by)
    if approval.plan_hash != plan.plan_hash:
        raise PolicyViolation("the approval is of another plan (FR-012)", next_step=_APPROVE)
    state.approvals.put(approval.model_copy(update={"consumed_at": now}))
    records = tuple(_begun(state, plan, planned, approval, now) for planned in plan.possible)
    for record in records:
        state.migrations.put(record)
    return records


def require_valid(approval: ApprovalRecord) -> None:
    """Refuse to begin a migration with an approval that has expired since it was used.

    Raises:
        PolicyViolation: it has.
    """
    if not approval.approved_at <= datetime.now(UTC) < approval.approved_at + APPROVAL_LIFETIME:
        raise PolicyViolation("the approval expired before this migration was begun (FR-012)", next_step=_ANEW)


def _begun(
    state: Transaction, plan: MigrationPlan, planned: PlannedMigration, approval: MigrationApproval, now: datetime
) -> KeyMigrationRecord:
    key = state.keys.by_id(planned.key_id)
    version = state.keys.version(planned.key_id, planned.version)
    assert planned.strategy is not None  # noqa: S101  the plan says that it is possible
    return KeyMigrationRecord(
        migration_id=uuid.uuid4(),
        plan_id=plan.plan_id,
        key_name=planned.key_name,
        key_version=planned.version,
        strategy=planned.strategy,
        source_backend_id=planned.source_backend_id,
        source_provider=planned.source_provider,
        destination_backend_id=plan.destination_backend_id,
        destination_provider=plan.destination_provider,
        migrated_at=now,
        source_key_id=str(planned.key_id),
        source_location=location_of(version),
        source_required_level=key.required_security_level,
        administrative_approval=approval.record(),
    )


def _see(plan: MigrationPlan) -> str:
    return f"`keyclave migrate show {plan.plan_id}` says why."


def _require_other_principal(plan: MigrationPlan, principal: str) -> None:
    if _same(plan.requested_by) == _same(principal):
        raise PolicyViolation("a plan must be approved by another than its requester (FR-012)", next_step=_APPROVE)


def _same(principal: str) -> str:
    """Return what two spellings of one principal have in common."""
    return unicodedata.normalize("NFKC", principal).casefold()
