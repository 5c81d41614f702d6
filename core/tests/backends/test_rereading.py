"""What shows a level counts for an hour; then it is read again, and less than before is believed at once (FR-014)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keyclave.backends import rereading
from keyclave.backends.limits import TimeLimits
from keyclave.backends.opened import Opened, take
from keyclave.backends.rereading import Rereading
from keyclave.backends.retrying import Retries
from keyclave.errors import BackendUnavailable, PolicyViolation
from keyclave.models import AuthenticationMethod, EnvironmentType, SecurityLevel
from keyclave.plugin import BackendContext, BackendDescription, Location, hookimpl
from msgspec import structs

from core.tests.backends.conftest import CRYPTO, INSTANCE_ID

HSM, TPM, SOFTWARE = SecurityLevel
MINUTE = 60.0


class Device:
    """A backend that says what the test lets it say, and counts how often it was asked."""

    def __init__(self, provider_type: str) -> None:
        self.asked = 0
        self.failure: Exception | None = None
        self.before_answer: Callable[[], object] = lambda: None
        self.says = BackendDescription(
            contract="2026.11",
            provider_type=provider_type,
            security_level=HSM,
            evidence=("it is sealed",),
            authentication_method=AuthenticationMethod.MANAGED_IDENTITY,
            location=Location.DEVICE,
            algorithms=(),
        )

    @hookimpl
    def describe(self) -> BackendDescription:
        self.asked += 1
        self.before_answer()
        if self.failure is not None:
            raise self.failure
        return self.says

    def say(self, **changes: Any) -> None:
        self.says = structs.replace(self.says, **changes)


class Clock:
    """The monotonic time of the readings. It stands still until it is told to go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr(rereading, "monotonic", lambda: self.now)

    def go(self, minutes: float) -> None:
        self.now += minutes * MINUTE


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def device() -> Device:
    return Device("acme-hsm")


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    taken: list[Opened] = []

    def take_it(target: Device, environment: EnvironmentType = EnvironmentType.PRODUCTION) -> Opened:
        context = BackendContext(
            backend_id="vault", instance_id=INSTANCE_ID, environment_type=environment, data_directory=tmp_path
        )
        opened = take(
            target,
            target.says.provider_type,
            context,
            limits=TimeLimits(other=1.0),
            crypto=CRYPTO,
            on_fault=lambda _: None,
            retries=Retries(),
        )
        taken.append(opened)
        return opened

    yield take_it
    for opened in taken:
        opened.close(1.0)


@pytest.fixture
def opened(clock: Clock, device: Device, opening: Callable[..., Opened]) -> Opened:
    return opening(device)


def answered(level: Rereading) -> None:
    """Let a reading begin if it is due, and wait until it is done."""
    level.watch()
    for thread in threading.enumerate():
        if thread.name == "keyclave-vault-level":
            thread.join(5)


def test_fr_014_a_level_is_asked_for_once_an_hour_and_no_caller_waits_for_it(
    opened: Opened, device: Device, clock: Clock
) -> None:
    release = threading.Event()
    device.before_answer = lambda: release.wait(5)
    for _ in range(48):
        clock.go(1)
        opened.level.require()
    assert device.asked == 1
    clock.go(3)
    opened.level.require()  # returns, though nothing is answered yet
    assert not release.is_set()
    release.set()
    answered(opened.level)
    assert device.asked == 2
    device.before_answer = lambda: None
    for _ in range(10):
        clock.go(1)
        opened.level.require()
    assert device.asked == 2, "the hour begins anew"
    assert opened.level.withdrawn is None


def test_fr_014_after_an_hour_without_a_call_the_first_one_asks(opened: Opened, device: Device, clock: Clock) -> None:
    clock.go(300)
    device.say(security_level=SOFTWARE, evidence=("it is open",))
    opened.level.require()
    assert (device.asked, opened.backend.description.security_level) == (2, SOFTWARE)


@pytest.mark.parametrize("minutes", [51, 61])
def test_fr_014_less_than_before_is_believed_and_said(
    opened: Opened, device: Device, clock: Clock, caplog: pytest.LogCaptureFixture, minutes: float
) -> None:
    clock.go(minutes)
    device.say(security_level=TPM, evidence=("its seal is broken",))
    opened.level.require()
    answered(opened.level)
    shown = opened.backend.standing()
    assert (shown.security_level, shown.security_evidence) == (TPM, ("its seal is broken",))
    assert opened.level.withdrawn is not None
    assert "'vault' lost its level: it was HSM and is TPM now" in caplog.text
    assert "its seal is broken" in caplog.text


def test_fr_014_more_than_before_is_not_believed_while_it_is_open(
    opened: Opened, device: Device, clock: Clock
) -> None:
    for level in (SOFTWARE, HSM):
        clock.go(61)
        device.say(security_level=level, evidence=(f"it is {level.value}",))
        opened.level.require()
    shown = opened.backend.description
    assert (shown.security_level, shown.evidence) == (SOFTWARE, ("it is SOFTWARE",))


def test_other_words_for_the_same_level_are_taken_over(opened: Opened, device: Device, clock: Clock) -> None:
    clock.go(51)
    device.say(evidence=("it is sealed, and has new firmware",))
    answered(opened.level)
    assert opened.backend.standing().security_evidence == ("it is sealed, and has new firmware",)
    assert opened.level.withdrawn is None


def test_fr_014_without_an_answer_a_level_counts_for_its_hour_and_no_longer(
    opened: Opened, device: Device, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    device.failure = BackendUnavailable("the cable is out")
    clock.go(50)
    for _ in range(9):
        opened.level.require()
        answered(opened.level)
        clock.go(1)
    assert 5 <= device.asked <= 11, "once a minute"
    assert "the level of backend 'vault' could not be read again: the cable is out" in caplog.text
    clock.go(2)
    opened.level.watch()
    assert opened.level.withdrawn is not None
    for _ in range(3):
        with pytest.raises(BackendUnavailable, match=r"more than an hour ago.*the cable is out") as raised:
            opened.level.require()
        assert raised.value.retryable
    asked = device.asked
    device.failure = None
    with pytest.raises(BackendUnavailable):
        opened.level.require()
    assert device.asked == asked, "it is left alone for a minute"
    clock.go(1)
    opened.level.require()
    assert opened.backend.description.security_level is HSM


def test_fr_014_a_question_that_hangs_is_no_answer(opened: Opened, device: Device, clock: Clock) -> None:
    release = threading.Event()
    device.before_answer = lambda: release.wait(10)
    clock.go(61)
    with pytest.raises(BackendUnavailable, match="no answer within 1 s"):
        opened.level.require()
    release.set()


def test_fr_001_a_cloud_that_lost_its_level_is_not_used_in_production(
    clock: Clock, opening: Callable[..., Opened]
) -> None:
    device = Device("aws")
    opened = opening(device)
    clock.go(61)
    device.say(security_level=SOFTWARE, evidence=("it is an emulator",))
    for _ in range(2):
        with pytest.raises(PolicyViolation, match="FR-001"):
            opened.level.require()
    assert device.asked == 2


def test_fr_023_an_identity_that_became_an_access_key_is_refused_in_production(
    clock: Clock, opening: Callable[..., Opened]
) -> None:
    device = Device("aws")
    opened = opening(device)
    clock.go(61)
    device.say(authentication_method=AuthenticationMethod.API_KEY)
    with pytest.raises(PolicyViolation, match="FR-023"):
        opened.level.require()


def test_what_cannot_be_takes_the_backend_out_of_use(opened: Opened, device: Device, clock: Clock) -> None:
    clock.go(61)
    device.say(evidence=())
    with pytest.raises(BackendUnavailable, match="claims the level HSM without evidence"):
        opened.level.require()
    assert opened.calls.faults


def test_a_backend_that_is_closed_is_not_complained_of(
    opened: Opened, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.go(51)
    opened.close(1.0)
    answered(opened.level)
    assert caplog.text == ""
