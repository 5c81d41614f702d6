"""Environments, backends, migrations and intents are stored and found as they were given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from keyclave.errors import Conflict, IntegrityError, InvalidArgument
from keyclave.models import AvailabilityStatus, EnvironmentType, MigrationStatus
from keyclave.state.records import StoredIntent, StoredKey
from keyclave.state.store import Store

from core.tests.state.samples import APPROVAL, BACKEND, ENVIRONMENT, HEALTH, MIGRATION, NOW, PLAN

NewKey = Callable[..., StoredKey]
NewIntent = Callable[..., StoredIntent]


def test_an_environment_is_found_as_it_was_put(store: Store) -> None:
    later = ENVIRONMENT.model_copy(update={"updated_at": NOW + timedelta(days=1), "key_rotation_interval": None})
    with store.write() as state:
        assert state.environments.get(EnvironmentType.LOCAL) is None
        state.environments.put(ENVIRONMENT)
        assert state.environments.get(EnvironmentType.LOCAL) == ENVIRONMENT
        state.environments.put(later)
    with store.read() as state:
        assert state.environments.get(EnvironmentType.LOCAL) == later


def test_backends_are_found_as_they_were_put(store: Store) -> None:
    other = BACKEND.model_copy(update={"backend_id": "another", "health_check_status": None})
    degraded = BACKEND.model_copy(update={"availability_status": AvailabilityStatus.DEGRADED})
    with store.write() as state:
        state.backends.put(BACKEND)
        state.backends.put(other)
        state.backends.put(degraded)
    with store.read() as state:
        assert state.backends.all() == (other, degraded)
        assert state.backends.get("software") == degraded
        assert state.backends.get("missing") is None


def test_how_a_backend_is_is_found_as_it_was_put(store: Store) -> None:
    later = HEALTH.model_copy(update={"last_health_check": NOW + timedelta(minutes=1), "health_check_status": None})
    with store.write() as state:
        assert state.health.get("software") is None
        state.health.put(HEALTH)
        assert state.health.get("software") == HEALTH
        state.health.put(later)
    with store.read() as state:
        assert state.health.get("software") == later


def test_a_backend_keeps_its_plugin(store: Store) -> None:
    with store.write() as state:
        state.backends.put(BACKEND)
    with pytest.raises(Conflict, match="provider_type"), store.write() as state:
        state.backends.put(BACKEND.model_copy(update={"provider_type": "tpm"}))


def test_a_migration_is_found_as_it_was_put(store: Store) -> None:
    used = APPROVAL.model_copy(update={"consumed_at": NOW})
    begun = MIGRATION.model_copy(
        update={
            "status": MigrationStatus.IN_PROGRESS,
            "completed_at": None,
            "source_retained_until": None,
            "cryptographic_proof": None,
        }
    )
    with store.write() as state:
        state.plans.add(PLAN)
        state.approvals.put(APPROVAL)
        assert state.approvals.of_plan(PLAN.plan_id) == (APPROVAL,)
        state.approvals.put(used)
        state.migrations.put(begun)
        assert state.migrations.get(MIGRATION.migration_id) == begun
        state.migrations.put(MIGRATION)
        assert state.migrations.get(uuid4()) is None
    with store.read() as state:
        assert state.migrations.all() == state.migrations.of_plan(PLAN.plan_id) == (MIGRATION,)
        assert state.migrations.of_plan(uuid4()) == ()
        assert state.migrations.of_key(UUID(MIGRATION.source_key_id)) == (MIGRATION,)
        assert state.migrations.of_key(uuid4()) == ()
        assert state.plans.all() == (PLAN,)
        assert state.plans.get(PLAN.plan_id) == PLAN
        assert state.plans.get(uuid4()) is None
        assert state.approvals.of_plan(PLAN.plan_id) == (used,)


def test_an_intent_goes_from_step_to_step_and_closes_once(
    store: Store, new_key: NewKey, new_intent: NewIntent
) -> None:
    first = new_intent(new_key())
    earlier = NOW - timedelta(seconds=1)
    second = new_intent(new_key(), created_at=earlier, from_version=None, label=None, parameters={})
    with store.write() as state:
        state.intents.add(first)
        state.intents.add(second)
        assert state.intents.open() == (second, first)
        advanced = state.intents.advance(first.operation_id, "validate", parameters={"a": "b"}, to_version=3)
        assert (advanced.step, advanced.parameters, advanced.to_version) == ("validate", {"a": "b"}, 3)
        assert advanced.updated_at > NOW
        assert state.intents.open() == (second, advanced)
        assert state.intents.close(first.operation_id, "done").outcome == "done"
        assert state.intents.open() == (second,)
    with pytest.raises(Conflict, match="closed intent"), store.write() as state:
        state.intents.close(first.operation_id, "undone")


@pytest.mark.parametrize("field", ["kind", "key_id", "principal", "outcome", "created_at"])
def test_what_never_changes_of_an_intent_is_refused(
    store: Store, new_key: NewKey, new_intent: NewIntent, field: str
) -> None:
    intent = new_intent(new_key())
    with store.write() as state:
        state.intents.add(intent)
        with pytest.raises(InvalidArgument, match=field):
            state.intents.advance(intent.operation_id, "next", **{field: "x"})


def test_an_intent_that_is_not_there_cannot_be_closed(store: Store) -> None:
    with pytest.raises(IntegrityError, match="missing"), store.write() as state:
        state.intents.close(uuid4(), "done")
