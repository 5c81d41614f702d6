"""Calls that nobody answers are not made for a while; whoever asks is told so at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from keyclave.backends.backend import Backend
from keyclave.backends.breaker import Breaker
from keyclave.errors import BackendUnavailable, DeadlineExceeded, KeyDisabled, KeyNotFound, OutcomeUnknown, Throttled
from keyclave.plugin import CreatedKey

LOST = BackendUnavailable("unplugged")


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def breaker(seconds: Seconds) -> Breaker:
    made = Breaker(clock=seconds)
    made.opens = True
    return made


@pytest.mark.parametrize("error", [LOST, DeadlineExceeded("no answer"), OutcomeUnknown("no answer")])
def test_it_opens_after_ten_calls_without_an_answer(breaker: Breaker, error: Any) -> None:
    for _ in range(10):
        assert breaker.refusal() is None
        breaker.note(error)
    refused = breaker.refusal()
    assert refused is not None
    assert "no call is made until" in refused.message
    assert refused.retryable


@pytest.mark.parametrize("error", [KeyNotFound("none"), KeyDisabled("off"), Throttled("too many")])
def test_what_the_backend_refuses_does_not_open_it(breaker: Breaker, error: Any) -> None:
    for _ in range(100):
        breaker.note(error)
    assert breaker.opened_at is None
    assert breaker.take_evidence() is None


def test_an_answer_in_between_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(10):
        for _ in range(9):
            breaker.note(LOST)
        breaker.answered = True
    assert breaker.opened_at is None
    assert breaker.take_evidence() is True


def test_one_call_is_let_through_now_and_then_and_an_answer_closes_it(breaker: Breaker, seconds: Seconds) -> None:
    for _ in range(10):
        breaker.note(LOST)
    opened_at = breaker.opened_at
    seconds.now += 4.9
    assert breaker.refusal() is not None
    seconds.now += 0.2
    assert breaker.refusal() is None
    assert breaker.refusal() is not None  # the others wait for what becomes of it
    breaker.note(LOST)
    assert breaker.opened_at == opened_at
    seconds.now += 5.1
    assert breaker.refusal() is None
    breaker.answered = True
    assert breaker.refusal() is None
    assert breaker.opened_at is None
    breaker.note(LOST)
    assert breaker.refusal() is None


def test_evidence_is_taken_once(breaker: Breaker) -> None:
    assert breaker.take_evidence() is None
    breaker.note(LOST)
    assert breaker.take_evidence() is False
    assert breaker.take_evidence() is None
    breaker.note(LOST)
    breaker.answered = True
    assert breaker.take_evidence() is True
    assert breaker.take_evidence() is None


def unplug(backend: Backend, *hooks: str) -> list[str]:
    """Let hooks of the test plugin raise, and return the list of the calls that they get."""
    made: list[str] = []

    def fail(hook: str) -> Callable[..., object]:
        def lost(*_: object) -> object:
            made.append(hook)
            raise LOST

        return lost

    for hook in hooks:
        (implementation,) = getattr(backend.calls._relay, hook).get_hookimpls()
        object.__setattr__(implementation, "function", fail(hook))
    return made


@pytest.mark.parametrize("location", ["device", "remote", "in_process"])
def test_only_what_can_go_away_is_left_alone(
    acme: Callable[..., Backend], created: Callable[..., CreatedKey], location: str
) -> None:
    backend = acme(location=location)
    made = created(backend)
    calls = unplug(backend, "sign", "find_key")
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    for _ in range(30):
        with pytest.raises(BackendUnavailable):
            sign(b"message")
    assert (len(calls) >= 30) is (location == "in_process")
    before = len(calls)
    with pytest.raises(BackendUnavailable) as caught:
        backend.find_key(made.reference.label)
    assert (len(calls) == before) is (location != "in_process")
    assert caught.value.operation == "find_key"
    assert caught.value.backend_id == "acme"
    assert backend.check_health()
    assert (backend.calls.breaker.opened_at is None) is (location == "in_process")
