"""What is due is done: rotations by age, ends of validation periods, destructions (FR-022)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from keyclave import Keyclave, RotationPolicy
from keyclave.errors import BackendUnavailable, Conflict, IntegrityError, PolicyViolation
from keyclave.models import KeyStatus
from keyclave.services import clock
from keyclave.services.keys import destruction
from keyclave.services.rotation import due_work
from keyclave.services.rotation import service as rotation

from core.tests.services.clock import Clock
from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing, replaced
from core.tests.services.long_ago import long_ago

FORGETFUL = RotationPolicy(validation_period=timedelta(0), retain_deprecated_versions=False)


def test_fr_022_keys_are_rotated_when_they_are_old_enough(clave: Keyclave) -> None:
    with long_ago():
        clave.keys.create("old", "ED25519")
        clave.keys.create("validated", "ED25519", policy=RotationPolicy(validation_period=timedelta(hours=1)))
        clave.keys.create("patient", "ED25519", policy=RotationPolicy(rotation_interval=timedelta(days=200)))
        clave.keys.create("by-hand", "ED25519", policy=RotationPolicy(automatic_rotation_enabled=False))
    clave.keys.create("new", "ED25519")
    report = clave.rotation.run_due()
    assert {(h.name, h.version, h.status) for h in report.rotated} == {
        ("old", 2, KeyStatus.ACTIVE),
        ("validated", 2, KeyStatus.PENDING),
    }
    assert report.failed == ()
    assert {handle.name: handle.version for handle in clave.keys.list()} == {
        "old": 2,
        "validated": 1,
        "patient": 1,
        "by-hand": 1,
        "new": 1,
    }
    due = clave.keys.get("old").next_rotation_at
    assert due is not None
    assert timedelta(days=89) < due - datetime.now(UTC) <= timedelta(days=90)
    assert clave.rotation.run_due().rotated == ()


def test_fr_022_a_policy_that_forbids_manual_rotation_rotates_automatically(clave: Keyclave) -> None:
    with long_ago():
        clave.keys.create("k", "ED25519", policy=RotationPolicy(manual_rotation_allowed=False))
    assert [handle.name for handle in clave.rotation.run_due().rotated] == ["k"]


def test_many_keys_that_are_due_are_spread_over_several_runs(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_work, "_ROTATIONS", 3)
    with long_ago():
        for number in range(7):
            clave.keys.create(f"k{number}", "ED25519")
    assert [len(clave.rotation.run_due().rotated) for _ in range(4)] == [3, 3, 1, 0]


def test_two_instances_rotate_what_is_due_once(clave: Keyclave, reopen: Reopen) -> None:
    with long_ago():
        for number in range(4):
            clave.keys.create(f"k{number}", "ED25519")
    other = reopen()
    reports = [clave.rotation.run_due(), other.rotation.run_due()]
    assert sorted(h.name for r in reports for h in r.rotated) == ["k0", "k1", "k2", "k3"]
    assert {handle.version for handle in clave.keys.list()} == {2}


def test_a_backend_that_is_away_is_tried_again_at_the_next_run(clave: Keyclave) -> None:
    with long_ago():
        clave.keys.create("a", "ED25519")
        clave.keys.create("b", "ED25519")
    with failing(clave, "create_key", BackendUnavailable("unplugged"), afterwards=False):
        report = clave.rotation.run_due()
    assert report.rotated == ()
    assert [name for name, _ in report.failed] == ["a"]
    assert len(clave.rotation.run_due().rotated) == 2


def test_a_key_that_cannot_be_rotated_leaves_the_others_and_is_not_tried_each_minute(clave: Keyclave) -> None:
    with long_ago():
        clave.keys.create("a", "ED25519")
        clave.keys.create("b", "ED25519")
    failures = iter([IntegrityError("not what was asked for")])

    def fail_once(real: Callable[..., Any], request: Any) -> Any:
        for failure in failures:
            raise failure
        return real(request)

    with replaced(clave, "create_key", fail_once):
        report = clave.rotation.run_due()
    assert [h.name for h in report.rotated] == ["b"]
    assert report.failed == (("a", "not what was asked for"),)
    later = clave.keys.get("a").next_rotation_at
    assert later is not None
    assert timedelta(minutes=50) < later - datetime.now(UTC) < timedelta(minutes=70)
    assert clave.rotation.run_due().rotated == ()


def test_rotations_that_fail_are_no_storm_either(clave: Keyclave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_work, "_ROTATIONS", 3)
    with long_ago():
        for number in range(5):
            clave.keys.create(f"k{number}", "ED25519")
    asked: list[str] = []

    def fail(_: Callable[..., Any], request: Any) -> Any:
        asked.append(request.algorithm)
        raise IntegrityError("not what was asked for")

    with replaced(clave, "create_key", fail):
        for expected in (3, 5, 5):
            clave.rotation.run_due()
            assert len(asked) == expected


def test_fr_022_a_rotation_that_the_backend_refuses_as_a_conflict_is_told_and_not_tried_each_minute(
    clave: Keyclave,
) -> None:
    with long_ago():
        clave.keys.create("a", "ED25519")
        clave.keys.create("b", "ED25519")
    with failing(clave, "create_key", Conflict("the device is busy with it")):
        assert clave.rotation.run_due().failed == (
            ("a", "the device is busy with it"),
            ("b", "the device is busy with it"),
        )
        assert clave.rotation.run_due().failed == ()


def test_what_was_rolled_back_is_not_rotated_again_at_once(clave: Keyclave) -> None:
    with long_ago():
        clave.keys.create("k", "ED25519", policy=RotationPolicy(validation_period=timedelta(hours=1)))
    assert len(clave.rotation.run_due().rotated) == 1
    clave.rotation.rollback("k", "test")
    assert clave.rotation.run_due().rotated == ()
    later = clave.keys.get("k").next_rotation_at
    assert later is not None
    assert later > datetime.now(UTC) + timedelta(hours=23)


def forgotten(clave: Keyclave) -> None:
    """A key whose first version need not be kept any more, and one whose first version is."""
    with long_ago():
        for name, policy in (("forgotten", FORGETFUL), ("kept", None)):
            clave.keys.create(name, "ED25519", policy=policy)
            clave.rotation.rotate(name)


def test_fr_017_deprecated_versions_are_destroyed_when_their_retention_ended_and_nobody_keeps_them(
    clave: Keyclave,
) -> None:
    forgotten(clave)
    assert "first time" in str(clave.rotation.run_due().suspended)
    report = clave.rotation.run_due()
    assert [(h.name, h.version) for h in report.destroyed] == [("forgotten", 1)]
    assert report.suspended is None
    assert clave.keys.versions("forgotten")[0].destroyed_at is not None
    assert clave.keys.versions("kept")[0].destroyed_at is None
    assert clave.rotation.run_due().destroyed == ()


def test_a_destruction_that_its_backend_did_not_confirm_is_begun_once(clave: Keyclave) -> None:
    forgotten(clave)
    clave.rotation.run_due()
    with failing(clave, "destroy_key", BackendUnavailable("unplugged")):
        assert [name for name, _ in clave.rotation.run_due().failed] == ["forgotten"]
        for _ in range(2):
            assert clave.rotation.run_due().failed == ()
    assert [intent.kind for intent in clave.recovery.open_intents()] == ["destroy"]
    assert clave.rotation.run_due().recovered == 1
    assert clave.keys.versions("forgotten")[0].destroyed_at is not None


@pytest.mark.parametrize("jump", [timedelta(days=36_525), -timedelta(hours=1)])
def test_a_clock_that_jumps_suspends_destruction_until_it_is_confirmed(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    with long_ago():
        clave.keys.create("k", "ED25519", policy=FORGETFUL)
        clave.rotation.rotate("k")
    clave.rotation.run_due()

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain one: it is compared
            return datetime.now(tz) + jump

    for module in (due_work, rotation, destruction):
        monkeypatch.setattr(module, "datetime", Jumped)
    for _ in range(2):
        report = clave.rotation.run_due()
        assert "the clock went" in str(report.suspended)
        assert report.destroyed == ()
    clave.rotation.confirm_clock()
    assert {h.name for h in clave.rotation.run_due().destroyed} == {"k"}


@pytest.mark.parametrize("algorithm", ["ED25519", "AES_256"])
def test_fr_017_a_version_that_was_rotated_away_while_the_clock_was_behind_is_kept_as_long(
    clave: Keyclave, algorithm: str
) -> None:
    clave.rotation.run_due()
    clave.keys.create("k", algorithm, policy=FORGETFUL)
    with long_ago(days=36_525):
        clave.rotation.rotate("k")
    report = clave.rotation.run_due()
    assert (report.suspended, report.destroyed) == (None, ())
    kept_until = clave.keys.versions("k")[0].not_destroy_before
    assert kept_until is not None
    assert kept_until - datetime.now(UTC) > timedelta(days=89)


@pytest.mark.parametrize("algorithm", [None, "ECDSA_P256"])
def test_fr_017_a_key_that_was_rotated_while_the_clock_was_ahead_is_promoted_and_rotated_when_it_is_right(
    reopen: Reopen, algorithm: str | None
) -> None:
    clave = reopen('[backends.spare]\nplugin = "software"\n[environment.fallback]\nenabled = true\n')
    with long_ago(days=-36_525):
        clave.keys.create("k", "ED25519")
        clave.rotation.rotate("k", algorithm=algorithm, validation_period=timedelta(hours=1))
    promoted = clave.rotation.promote("k")
    assert (promoted.version, promoted.status) == (3, KeyStatus.ACTIVE)
    rotated = clave.rotation.rotate("k", algorithm="RSA_2048", validation_period=timedelta(0))
    assert rotated.next_rotation_at is not None
    assert rotated.next_rotation_at - datetime.now(UTC) < timedelta(days=91)


def test_fr_017_a_clock_that_is_ahead_ends_no_retention_by_hand_either(
    clave: Keyclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    clave.rotation.run_due()
    clave.keys.create("k", "ED25519", policy=FORGETFUL)
    clave.rotation.rotate("k")
    ahead = Clock(monkeypatch, destruction)
    ahead.go(seconds=timedelta(days=36_525).total_seconds())
    with pytest.raises(PolicyViolation, match="is not known: the clock went ahead"):
        clave.keys.destroy("k", 1)
    assert clave.keys.versions("k")[0].destroyed_at is None
    Clock(monkeypatch, rotation).go(seconds=timedelta(days=36_525).total_seconds())
    clave.rotation.confirm_clock()
    assert clave.keys.destroy("k", 1).destroyed_at is not None


NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "trusted"),
    [(timedelta(0), True), (timedelta(days=29), True), (-timedelta(minutes=4), True), (timedelta(days=31), False)],
)
def test_the_clock_is_trusted_within_limits(since: timedelta, trusted: bool) -> None:  # noqa: FBT001
    assert (clock.why_not_trusted(NOW - since, NOW) is None) is trusted


def test_fr_022_a_worker_does_what_is_due_by_itself_and_ends_with_the_instance(reopen: Reopen) -> None:
    clave = reopen()
    with long_ago():
        clave.keys.create("k", "ED25519")
    clave.rotation.start()
    clave.rotation.start()
    until = time.monotonic() + 30
    while clave.keys.get("k").version == 1 and time.monotonic() < until:
        time.sleep(0.05)
    assert clave.keys.get("k").version == 2
    clave.close()


def test_a_worker_that_is_stopped_finishes_one_key_and_begins_no_other(clave: Keyclave) -> None:
    with long_ago():
        for number in range(5):
            clave.keys.create(f"k{number}", "ED25519")
    begun, stopping = threading.Event(), threading.Event()

    def wait(real: Callable[..., Any], request: Any) -> Any:
        begun.set()
        assert stopping.wait(30)
        return real(request)

    with replaced(clave, "create_key", wait):
        clave.rotation.start()
        assert begun.wait(30)
        stop = threading.Thread(target=clave.rotation.stop)
        stop.start()
        worker = clave.rotation._worker
        while not worker.is_ending():
            time.sleep(0.01)
        stopping.set()
        stop.join(30)
    assert sorted(handle.version for handle in clave.keys.list()) == [1, 1, 1, 1, 2]
    assert clave.recovery.open_intents() == ()
