"""A signature by a key that was changed meanwhile is not released, and the attempt is in the log."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from keyclave.audit.log import AuditEntry, AuditLog, Guard, StaleKey
from keyclave.errors import Conflict
from keyclave.models import KeyStatus, OperationStatus, OperationType, RotationPolicy, SecurityLevel
from keyclave.state.records import StoredKey, StoredVersion
from keyclave.state.store import Store

Make = Callable[..., AuditEntry]


def add_key(store: Store, name: str) -> Guard:
    """Add a key with one active version, and return what a caller then knows of it."""
    key_id = uuid.uuid4()
    now = datetime.now(UTC)
    with store.write() as state:
        state.keys.add(
            StoredKey(
                key_id=key_id,
                name=name,
                algorithm="ED25519",
                owner_principal="tester",
                created_at=now,
                required_security_level=SecurityLevel.SOFTWARE,
                rotation_policy=RotationPolicy(),
                minimum_rotation_interval=None,
            )
        )
        state.keys.add_version(
            StoredVersion(
                key_id=key_id,
                version=1,
                status=KeyStatus.ACTIVE,
                backend_id="software",
                backend_type="software",
                label=f"keyclave:{store.instance_id.hex}:{key_id.hex}:1:{uuid.uuid4().hex}",
                provider_uri="software:" + "0" * 32,
                public_key=b"spki",
                exportable=False,
                hsm_backed=False,
                created_at=now,
                last_rotation_at=None,
                next_rotation_at=now + timedelta(days=90),
                not_destroy_before=None,
                destroyed_at=None,
            )
        )
        return Guard(epoch=state.epoch, key_id=key_id, version=1)


def revoke(store: Store, guard: Guard) -> None:
    with store.write() as state:
        state.keys.update_version(guard.key_id, guard.version, status=KeyStatus.REVOKED)


def test_a_key_that_nobody_changed_passes(log: AuditLog, store: Store, make_entry: Make) -> None:
    assert log.append(make_entry(), add_key(store, "k")) is not None


def test_a_change_of_another_key_hurts_nobody(log: AuditLog, store: Store, make_entry: Make) -> None:
    guard = add_key(store, "k")
    revoke(store, add_key(store, "other"))
    assert log.append(make_entry(), guard) is not None


def test_a_signature_by_a_key_revoked_meanwhile_is_refused_and_recorded(
    log: AuditLog, store: Store, make_entry: Make
) -> None:
    guard = add_key(store, "k")
    revoke(store, guard)
    entry = make_entry()
    with pytest.raises(StaleKey) as caught:
        log.append(entry, guard)
    assert isinstance(caught.value, Conflict)
    (operation,) = log.records()
    assert operation.operation_id == entry.operation_id
    assert operation.status is OperationStatus.FAILED
    assert "while it was used" in str(operation.error_message)
    assert log.verify().ok


def test_what_an_old_key_may_still_do_is_decided_by_the_operation(
    log: AuditLog, store: Store, make_entry: Make
) -> None:
    guard = add_key(store, "k")
    now = datetime.now(UTC)
    with store.write() as state:
        state.keys.update_version(guard.key_id, 1, status=KeyStatus.DEPRECATED, last_rotation_at=now)
    assert log.append(make_entry(operation_type=OperationType.DECRYPT), guard) is not None
    for operation_type in (OperationType.SIGN, OperationType.ENCRYPT):
        with pytest.raises(StaleKey):
            log.append(make_entry(operation_type=operation_type), guard)


def test_stale_and_good_entries_share_a_batch(log: AuditLog, store: Store, make_entry: Make) -> None:
    stale, good = add_key(store, "stale"), add_key(store, "good")
    revoke(store, stale)

    def work(number: int) -> bool:
        try:
            return log.append(make_entry(), stale if number % 2 else good) is not None
        except StaleKey:
            return False

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(work, range(200)))
    assert outcomes == [number % 2 == 0 for number in range(200)]
    statuses = [operation.status for operation in log.records()]
    assert statuses.count(OperationStatus.FAILED) == statuses.count(OperationStatus.SUCCESS) == 100
    assert log.verify().ok


def test_a_key_that_was_tampered_with_is_refused_and_stops_nobody_else(
    log: AuditLog, store: Store, database: Path, make_entry: Make
) -> None:
    guard = add_key(store, "k")
    other = add_key(store, "other")
    with closing(sqlite3.connect(database)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE key_versions SET label = 'x' WHERE key_id = ?", (guard.key_id.hex,))
        connection.commit()
    with pytest.raises(StaleKey):
        log.append(make_entry(), guard)
    assert log.append(make_entry(), Guard(epoch=0, key_id=other.key_id, version=1)) is not None
