"""How the backends are: by checks and by calls, two alike in a row, over processes and restarts (FR-016)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import keyclave
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyclave import Keyclave
from keyclave.backends.limits import TimeLimits
from keyclave.errors import BackendUnavailable, DeadlineExceeded, KeyDisabled
from keyclave.models import AvailabilityStatus, BackendHealth, HealthCheckResult
from keyclave.plugin import HealthReport
from keyclave.services.backends import health
from keyclave.services.backends.hysteresis import after_calls, after_check

from core.tests.services.clock import Clock
from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing, replaced

AVAILABLE, DEGRADED, UNAVAILABLE = AvailabilityStatus
NEW = BackendHealth(backend_id="b", last_health_check=datetime(2030, 1, 1, tzinfo=UTC))
BROKEN = '[backends.hsm]\nplugin = "no-such-plugin"\n'
DEVICE = 'location = "device"\n'
MESSAGE = b"message"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def checked(before: BackendHealth, status: AvailabilityStatus) -> BackendHealth:
    later = before.last_health_check + timedelta(seconds=60)
    return after_check(before, HealthCheckResult(status=status, checked_at=later, latency=timedelta(0)))


def statuses(*observations: AvailabilityStatus | bool) -> str:
    """How a new backend is after each check (a status) or call (whether it was answered), by initials."""
    found, now = "", NEW
    for seen in observations:
        now = (
            after_calls(now, answered=seen, circuit_opened_at=None) if isinstance(seen, bool) else checked(now, seen)
        )
        found += now.availability_status.value[0]
    return found


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ((AVAILABLE, UNAVAILABLE, UNAVAILABLE, AVAILABLE, AVAILABLE), "ADUUA"),
        ((UNAVAILABLE, AVAILABLE, AVAILABLE), "DDA"),
        ((UNAVAILABLE, AVAILABLE, UNAVAILABLE, AVAILABLE, UNAVAILABLE), "DDDDD"),
        ((UNAVAILABLE, UNAVAILABLE, AVAILABLE, UNAVAILABLE, AVAILABLE, AVAILABLE), "DUUUUA"),
        ((AVAILABLE, DEGRADED, AVAILABLE), "ADA"),
        ((UNAVAILABLE, UNAVAILABLE, DEGRADED, DEGRADED), "DUUD"),
        ((AVAILABLE, False, False, True, True), "ADUUA"),
        ((UNAVAILABLE, True, True, UNAVAILABLE, True), "DDDDD"),
        ((UNAVAILABLE, True, True, AVAILABLE), "DDDA"),
    ],
)
def test_fr_016_two_alike_in_a_row_decide(observations: tuple[Any, ...], expected: str) -> None:
    assert statuses(*observations) == expected


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_fr_016_unavailable_begins_with_two_failures_and_ends_with_two_passes(observations: list[bool]) -> None:
    found = statuses(*observations)
    for at in range(1, len(found)):
        if found[at] == "U" != found[at - 1]:
            assert observations[at - 1 : at + 1] == [False, False]
        if found[at - 1] == "U" != found[at]:
            assert observations[at - 1 : at + 1] == [True, True]


def test_fr_016_a_slow_check_does_not_bring_the_next_one_forward() -> None:
    begun_later = NEW.model_copy(update={"last_health_check": NEW.last_health_check + timedelta(seconds=30)})
    slow = HealthCheckResult(status=AVAILABLE, checked_at=NEW.last_health_check, latency=timedelta(seconds=40))
    assert after_check(begun_later, slow).last_health_check == begun_later.last_health_check


def test_fr_016_what_a_check_found_is_kept_and_shown(reopen: Reopen) -> None:
    clave = reopen(BROKEN)
    began = datetime.now(UTC)
    results = clave.backends.health()
    found = reopen(BROKEN).health.status()
    assert {name: now.health_check_status for name, now in found.items()} == results
    assert found["software"].availability_status is AVAILABLE
    assert began <= found["software"].last_health_check <= datetime.now(UTC)
    assert found["hsm"].availability_status is DEGRADED
    assert "no-such-plugin" in results["hsm"].detail
    shown = clave.backends.show("software")
    assert (shown.last_health_check, shown.health_check_status) == (
        found["software"].last_health_check,
        results["software"],
    )


def test_fr_016_a_keystore_is_taken_away_and_given_back(reopen: Reopen, clock: Clock, tmp_path: Path) -> None:
    instances = [reopen(), reopen()]
    for clave in instances:
        clave.backends.show("software")
    keystore = next((tmp_path / "state" / "backends").rglob("keystore.json"))
    away = keystore.with_name("away")
    found = []
    for path, to in ((keystore, away), (away, keystore)):
        path.rename(to)
        for clave in instances:  # in turns: neither sees two in a row itself
            clock.go(seconds=61)
            assert clave.health.look("software")
            found.append(clave.health.status()["software"].availability_status)
            assert clave.backends.show("software").availability_status is found[-1]
    assert found == [DEGRADED, UNAVAILABLE, UNAVAILABLE, AVAILABLE]


def test_fr_016_a_check_is_due_a_minute_after_the_last_one_whoever_made_it(reopen: Reopen, clock: Clock) -> None:
    one, other = reopen(), reopen()
    assert one.health.look("software")
    clock.go(seconds=59.9)
    assert not other.health.look("software")
    clock.go(seconds=0.1)
    assert other.health.look("software")
    clock.go(seconds=30)
    one.health.check()
    clock.go(seconds=31)
    assert not other.health.look("software")
    clock.go(seconds=29)
    assert other.health.look("software")


def test_a_check_that_a_wrong_clock_stamped_is_not_waited_for(reopen: Reopen, clock: Clock) -> None:
    clave = reopen()
    clock.go(seconds=24 * 3600)
    assert clave.health.look("software")
    clock.go(seconds=-23 * 3600)
    assert clave.health.look("software")
    clock.go(seconds=-60)
    assert not clave.health.look("software")


def test_fr_010_checks_by_hand_are_in_the_audit_log_and_those_of_each_minute_are_not(clave: Keyclave) -> None:
    clave.health.look("software")
    assert list(clave.audit.records()) == []
    clave.health.check()
    assert [record.operation_type for record in clave.audit.records()] == ["HEALTH_CHECK"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==", "what it says looks like key material"),
        ("x" * 5000, "x" * 1024),
    ],
)
def test_fr_016_a_detail_that_looks_like_key_material_is_not_kept(clave: Keyclave, said: str, kept: str) -> None:
    with replaced(clave, "check_health", lambda _: HealthReport(status=DEGRADED, detail=said)):
        (result,) = clave.backends.health().values()
    assert result.detail.startswith(kept)
    assert len(result.detail) <= 1024
    assert "MC4C" not in str(clave.health.status())


@pytest.fixture
def faults() -> dict[str, Exception]:
    """What the hooks of the device raise at present."""
    return {}


@pytest.fixture
def device(acme: str, reopen: Reopen, faults: dict[str, Exception]) -> Keyclave:
    """An instance whose backend ``acme`` is a device that has a key; it was checked a moment ago."""
    clave = reopen(acme + DEVICE)
    clave.keys.create("k", "ED25519", backend="acme")

    def fail(_: object, *__: object) -> None:
        if "sign" in faults:
            raise faults["sign"]

    before(clave, "sign", fail)
    clave.health.look("acme")
    return clave


def before(clave: Keyclave, hook: str, work: Callable[..., object]) -> None:
    """Let something be done before a hook of the device, whose key has not signed yet."""
    (implementation,) = getattr(clave._backends.get("acme").calls._relay, hook).get_hookimpls()
    real = implementation.function

    def function(*arguments: object) -> object:
        work(hook, *arguments)
        return real(*arguments)

    object.__setattr__(implementation, "function", function)


def sign(clave: Keyclave, times: int = 1) -> list[str]:
    """Sign, and return what went wrong."""
    problems = []
    for _ in range(times):
        try:
            clave.keys.sign("k", MESSAGE)
        except (BackendUnavailable, DeadlineExceeded) as error:
            problems.append(str(error))
    return problems


def test_fr_016_calls_are_evidence_without_a_check(device: Keyclave, faults: dict[str, Exception]) -> None:
    def now() -> AvailabilityStatus:
        assert not device.health.look("acme")
        return device.health.status()["acme"].availability_status

    sign(device)
    found = [now()]
    for lost in (True, False):
        if lost:
            faults["sign"] = BackendUnavailable("unplugged")
        else:
            faults.clear()
        for _ in range(2):
            assert bool(sign(device)) is lost
            found.append(now())
    assert found == [AVAILABLE, DEGRADED, UNAVAILABLE, UNAVAILABLE, AVAILABLE]
    assert device.backends.show("acme").availability_status is AVAILABLE


def test_fr_016_what_the_backend_refuses_is_no_evidence(device: Keyclave, faults: dict[str, Exception]) -> None:
    device.health.look("acme")
    before = device.health.status()
    faults["sign"] = KeyDisabled("the key is disabled")
    for _ in range(20):
        with pytest.raises(KeyDisabled):
            device.keys.sign("k", MESSAGE)
    device.health.look("acme")
    assert device.health.status() == before


def test_fr_016_an_open_circuit_is_visible_to_every_instance(
    device: Keyclave, faults: dict[str, Exception], reopen: Reopen, acme: str
) -> None:
    faults["sign"] = BackendUnavailable("unplugged")
    problems = sign(device, times=12)
    assert sum("unplugged" in problem for problem in problems) == 10
    assert all("no call is made until" in problem for problem in problems[10:])
    opened_at = device.health.status()["acme"].circuit_opened_at
    assert opened_at is not None
    device.health.look("acme")
    assert reopen(acme + DEVICE).health.status()["acme"].circuit_opened_at == opened_at


def test_fr_016_a_call_that_hangs_holds_up_neither_the_monitor_nor_other_backends(
    acme: str, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_EVERY", timedelta(milliseconds=100))
    monkeypatch.setattr(health, "_LOOK", timedelta(milliseconds=20))
    of_others = set(threading.enumerate())
    clave = reopen(acme + DEVICE)
    clave.keys.create("k", "ED25519", backend="acme")
    clave.keys.create("soft", "ED25519", backend="software")
    calls = clave._backends.get("acme").calls
    calls.limits = TimeLimits(other=0.2)
    calls.workers._limit = 3
    gate, checks = threading.Event(), 0
    for hook in ("sign", "check_health"):
        before(clave, hook, lambda *_: gate.wait())

    def count(real: Callable[[], HealthReport]) -> HealthReport:
        nonlocal checks
        checks += 1
        return real()

    with replaced(clave, "check_health", count):
        clave.health.start()
        for _ in range(15):
            began = time.monotonic()
            sign(clave)
            assert time.monotonic() - began < 5
            assert clave.keys.sign("soft", MESSAGE).backend_id == "software"
        assert until(lambda: clave.health.status()["acme"].availability_status is UNAVAILABLE)
        assert checks >= 5
        assert "no answer within 0.2 s" in str(clave.health.status()["acme"].health_check_status)
        ours = set(threading.enumerate()) - of_others
        assert sum(thread.name.startswith("keyclave-acme") for thread in ours) <= 3
        gate.set()
        calls.breaker._retry_at = 0.0
        assert until(lambda: sign(clave) == [] and clave.health.status()["acme"].availability_status is AVAILABLE)
    clave.health.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("keyclave-health")]


def until(holds: Callable[[], bool]) -> bool:
    """Whether it holds within half a minute."""
    end = time.monotonic() + 30
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_monitor_is_started_once_and_ends_with_the_instance(config: Path) -> None:
    with keyclave.open(config) as clave:
        for _ in range(2):
            clave.health.start()
        assert sum(thread.name == "keyclave-health-software" for thread in threading.enumerate()) == 1
        assert until(lambda: "software" in clave.health.status())
    assert "keyclave-health-software" not in {thread.name for thread in threading.enumerate()}


def test_a_change_is_told_in_the_log(clave: Keyclave, caplog: pytest.LogCaptureFixture) -> None:
    with failing(clave, "check_health", BackendUnavailable("unplugged")):
        clave.health.check()
        clave.health.check()
    clave.health.check()
    assert [r.getMessage() for r in caplog.records if r.name == "keyclave.health"] == [
        "backend 'software' is DEGRADED",
        "backend 'software' is UNAVAILABLE",
    ]
