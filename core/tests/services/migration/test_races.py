"""Processes that migrate, rotate and destroy the same keys at once leave each of them in one place (FR-012)."""

from __future__ import annotations

import multiprocessing
import queue
from pathlib import Path
from typing import Any
from uuid import UUID

import keyclave
from keyclave.errors import Conflict, KeyclaveError, KeyDisabled, PolicyViolation
from keyclave.models import KeyStatus, MigrationStatus

from core.tests.services.migration.migrating import OTHER, listed

NAMES = ("a", "b", "c", "d")
CLEAN = (Conflict, KeyDisabled, PolicyViolation)


def _run(clave: keyclave.Keyclave, plan_id: UUID) -> None:
    clave.migration.run(plan_id)


def _roll_back(clave: keyclave.Keyclave, plan_id: UUID) -> None:
    for record in clave.migration.list() * 2:
        try:
            clave.migration.rollback(record.migration_id, "race")
        except CLEAN:
            continue


def _rotate(clave: keyclave.Keyclave, plan_id: UUID) -> None:
    for name in NAMES * 2:
        try:
            clave.rotation.rotate(name)
        except CLEAN:
            continue


def _revoke(clave: keyclave.Keyclave, plan_id: UUID) -> None:
    clave.keys.revoke(NAMES[-1], "race")


def _work(job: Any, config: Path, plan_id: UUID, start: Any, results: Any) -> None:
    """Do one of them in a process of its own."""
    with keyclave.open(config, principal="alice") as clave:
        start.wait()
        try:
            job(clave, plan_id)
        except KeyclaveError as error:
            results.put(repr(error))
        else:
            results.put(None)


def test_fr_012_races_leave_every_key_in_one_place(config: Path) -> None:
    config.write_text(config.read_text() + OTHER)
    with keyclave.open(config, principal="alice") as alice, keyclave.open(config, principal="bob") as bob:
        for name in NAMES:
            alice.keys.create(name, "ED25519", wrappable=name in "ab")
        plan = alice.migration.plan(NAMES, "other")
        bob.migration.approve(plan.plan_id, "race")
    context = multiprocessing.get_context("spawn")
    jobs = (_run, _run, _rotate, _roll_back, _revoke)
    start, results = context.Barrier(len(jobs)), context.Queue()
    processes = [context.Process(target=_work, args=(job, config, plan.plan_id, start, results)) for job in jobs]
    for process in processes:
        process.start()
    try:
        outcomes = [results.get(timeout=120) for _ in processes]
    except queue.Empty:
        outcomes = ["a process did not end"]
    for process in processes:
        process.join(timeout=30)
    assert outcomes == [None] * len(jobs)
    with keyclave.open(config, principal="alice") as alice:
        alice.recovery.run()
        assert alice.recovery.open_intents() == ()
        _look(alice)
        assert alice.audit.verify().ok


def _look(clave: keyclave.Keyclave) -> None:
    """Look whether each backend lists what the state and the migrations say, and each key works."""
    expected: dict[str, int] = {"software": 0, "other": 0}
    for name in NAMES:
        versions = clave.keys.versions(name)
        active = [version for version in versions if version.status is KeyStatus.ACTIVE]
        assert len(active) == (name != NAMES[-1])
        for version in versions:
            expected[version.backend_id] += version.destroyed_at is None
        if active:
            signed = clave.keys.sign(name, b"after the race")
            assert clave.keys.verify(name, b"after the race", signed.signature) == active[0].version
    for record in clave.migration.list():
        assert record.status in set(MigrationStatus) - {MigrationStatus.IN_PROGRESS} or record.error_message
        expected["software"] += record.status is MigrationStatus.COMPLETED and record.strategy == "WRAPPED"
    assert {backend: len(listed(clave, backend)) for backend in expected} == expected
