"""Calls to a service on a network that did not carry them out: how often, how late, and when no more."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from keyclave.backends.backend import Backend
from keyclave.backends.manager import BackendManager
from keyclave.backends.retrying import Budget, Retries
from keyclave.errors import (
    BackendUnavailable,
    Conflict,
    DeadlineExceeded,
    KeyclaveError,
    OutcomeUnknown,
    Throttled,
)
from keyclave.plugin import CreatedKey, CreateKeyRequest, Location

MESSAGE = b"a message"
DOWN = BackendUnavailable("the connection was refused")
BUSY = Throttled("slow down")


class Clock:
    """A time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Flaky:
    """A hook that raises what it is told to, one after the other, and then does its work. It counts its calls."""

    def __init__(self, backend: Backend, hook: str, failures: Iterable[Exception]) -> None:
        implementation = getattr(backend.calls._relay, hook).get_hookimpls()[0]
        self.calls = 0
        self._failures: Iterator[Exception] = iter(failures)
        self._real = implementation.function
        object.__setattr__(implementation, "function", self)

    def __call__(self, *arguments: object) -> object:
        self.calls += 1
        for failure in self._failures:
            raise failure
        return self._real(*arguments)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remote(acme: Callable[..., Backend], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The healthy plugin as a service on a network."""
    backend = acme(location=Location.REMOTE)
    for module in ("calls", "signer"):
        monkeypatch.setattr(f"keyclave.backends.{module}.monotonic", clock)
    backend.calls.retries = Retries(sleep=clock.sleep, clock=clock)
    return backend


@pytest.fixture
def use(request_for: Callable[..., CreateKeyRequest]) -> Callable[[Backend, str], Callable[[], object]]:
    """Return a call of a hook of a backend; what it needs is made before."""

    def make(backend: Backend, hook: str) -> Callable[[], object]:
        signs = backend.create_key(request_for("ECDSA_P256"))
        seals = backend.create_key(request_for("AES_256")).reference
        sealed = backend.encrypt(seals, b"data").ciphertext
        fresh = request_for("ED25519")

        def sign() -> object:
            return backend.bind_signer(signs.reference, signs.public_key, "ECDSA_SHA256", prehashed=False)(MESSAGE)

        return {
            "sign": sign,
            "encrypt": lambda: backend.encrypt(seals, b"data"),
            "decrypt": lambda: backend.decrypt(seals, sealed),
            "mac": lambda: backend.mac(seals, b"data"),
            "create_key": lambda: backend.create_key(fresh),
            "find_key": lambda: backend.find_key(seals.label),
            "list_keys": lambda: list(backend.list_keys()),
            "destroy_key": lambda: backend.destroy_key(seals),
            "check_health": backend.check_health,
        }[hook]

    return make


HOOKS = ("sign", "encrypt", "decrypt", "mac", "create_key", "find_key", "list_keys", "destroy_key", "check_health")
every_hook = pytest.mark.parametrize("hook", HOOKS)
Use = Callable[[Backend, str], Callable[[], Any]]


@every_hook
def test_a_call_that_was_not_carried_out_is_made_again(remote: Backend, clock: Clock, use: Use, hook: str) -> None:
    call = use(remote, hook)
    flaky = Flaky(remote, hook, [DOWN, BUSY])
    assert call() is not None
    assert flaky.calls == 3
    assert len(clock.waits) == 2
    assert 0 <= clock.waits[0] <= 0.1
    assert 0 <= clock.waits[1] <= 0.2


@every_hook
def test_the_third_failure_is_the_last(remote: Backend, clock: Clock, use: Use, hook: str) -> None:
    call = use(remote, hook)
    last = BackendUnavailable("the third", provider_reference="request-3")
    flaky = Flaky(remote, hook, [DOWN, BUSY, last, DOWN])
    with pytest.raises(BackendUnavailable, match="the third") as raised:
        call()
    assert (flaky.calls, len(clock.waits)) == (3, 2)
    assert raised.value.provider_reference == "request-3"
    assert raised.value.backend_id == "acme"
    assert raised.value.__context__ is None


@every_hook
@pytest.mark.parametrize(
    "failure",
    [
        OutcomeUnknown("sent, and no answer"),
        DeadlineExceeded("no answer"),
        Conflict("somebody else is changing it"),
        BackendUnavailable("its licence has ended", retryable=False),
        Throttled("the quota of this month is used up", retryable=False),
    ],
    ids=lambda failure: f"{type(failure).__name__}-{failure.retryable}",
)
def test_every_other_error_is_final(
    remote: Backend, clock: Clock, use: Use, hook: str, failure: KeyclaveError
) -> None:
    call = use(remote, hook)
    flaky = Flaky(remote, hook, [failure])
    with pytest.raises(type(failure), match=failure.message):
        call()
    assert (flaky.calls, clock.waits) == (1, [])


@every_hook
@pytest.mark.parametrize("location", [Location.IN_PROCESS, Location.DEVICE])
def test_nearby_nothing_is_repeated(acme: Callable[..., Backend], use: Use, hook: str, location: Location) -> None:
    backend = acme(location=location)
    call = use(backend, hook)
    flaky = Flaky(backend, hook, [DOWN])
    with pytest.raises(BackendUnavailable, match="refused"):
        call()
    assert flaky.calls == 1


@pytest.mark.parametrize("hook", ["sign", "create_key"])
def test_nobody_comes_back_earlier_than_the_service_asked(remote: Backend, clock: Clock, use: Use, hook: str) -> None:
    call = use(remote, hook)
    Flaky(remote, hook, [Throttled("slow down", retry_after=3), Throttled("slow down", retry_after=4.5)])
    call()
    assert 3 <= clock.waits[0] <= 3.1
    assert 4.5 <= clock.waits[1] <= 4.7


@pytest.mark.parametrize("retry_after", [20.0, 3600, math.inf, math.nan])
def test_a_pause_beyond_the_time_limit_is_not_made(
    remote: Backend, clock: Clock, use: Use, retry_after: float
) -> None:
    call = use(remote, "sign")
    flaky = Flaky(remote, "sign", [Throttled("slow down", retry_after=retry_after)])
    with pytest.raises(Throttled) as raised:
        call()
    assert (flaky.calls, clock.waits) == (1, [])
    assert raised.value.retry_after is not None
    assert raised.value.retryable


def test_all_attempts_together_stay_within_the_time_limit(remote: Backend, clock: Clock, use: Use) -> None:
    assert remote.calls.limits.of("sign") == 20
    call = use(remote, "sign")
    flaky = Flaky(remote, "sign", [Throttled("slow down", retry_after=12)] * 2)
    with pytest.raises(Throttled):
        call()
    assert flaky.calls == 2
    assert len(clock.waits) == 1


@pytest.mark.parametrize("hook", ["mac", "sign", "create_key"])
def test_an_attempt_has_only_the_time_that_is_left(
    remote: Backend, clock: Clock, use: Use, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    call = use(remote, hook)
    given: list[float] = []
    run = remote.calls.workers.run

    def noting(work: Callable[[], object], seconds: float) -> object:
        given.append(seconds)
        return run(work, 60.0)

    monkeypatch.setattr(remote.calls.workers, "run", noting)
    Flaky(remote, hook, [Throttled("slow down", retry_after=7)])
    call()
    limit = remote.calls.limits.of(hook)
    assert given[0] == limit
    assert limit - 7.1 <= given[1] <= limit - 7


@pytest.mark.parametrize("hook", ["mac", "sign", "create_key"])
def test_a_backend_that_is_closed_during_the_pause_is_not_called(
    remote: Backend, clock: Clock, use: Use, hook: str
) -> None:
    call = use(remote, hook)
    remote.calls.retries = Retries(sleep=lambda _: remote.calls.faults.append("it is closed"), clock=clock)
    flaky = Flaky(remote, hook, [DOWN])
    with pytest.raises(BackendUnavailable, match="out of use: it is closed"):
        call()
    assert flaky.calls == 1


def test_a_negative_pause_is_none(remote: Backend, clock: Clock, use: Use) -> None:
    call = use(remote, "sign")
    Flaky(remote, "sign", [Throttled("slow down", retry_after=-60)])
    call()
    assert 0 <= clock.waits[0] <= 0.1


def test_a_storm_of_failures_causes_no_more_retries_than_the_budget_has(
    remote: Backend, clock: Clock, use: Use
) -> None:
    remote.calls.retries = Retries(Budget(5, 60.0, clock=clock), sleep=clock.sleep, clock=clock)
    remote.calls.breaker.opens = False
    call = use(remote, "sign")
    flaky = Flaky(remote, "sign", repeat(DOWN))
    for _ in range(100):
        with pytest.raises(BackendUnavailable):
            call()
    assert flaky.calls == 100 + 5
    clock.now += 60.0
    with pytest.raises(BackendUnavailable):
        call()
    assert flaky.calls == 100 + 5 + 3


def test_threads_share_the_budget(remote: Backend, clock: Clock, use: Use) -> None:
    remote.calls.retries = Retries(Budget(7, 1e9, clock=clock), sleep=lambda _: None, clock=clock)
    remote.calls.breaker.opens = False
    call = use(remote, "mac")
    flaky = Flaky(remote, "mac", repeat(DOWN))

    def storm() -> None:
        for _ in range(50):
            with pytest.raises(BackendUnavailable):
                call()

    threads = [threading.Thread(target=storm) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flaky.calls == 8 * 50 + 7


@pytest.fixture
def opening(
    installed: Callable[..., None],
    manage: Callable[..., BackendManager],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Iterable[Exception]], tuple[BackendManager, list[int]]]:
    """Return a manager whose plugin fails to open its backend as it is told to, and the attempts it made."""

    def make(failures: Iterable[Exception]) -> tuple[BackendManager, list[int]]:
        installed("acme")
        manager = manage("acme", location=Location.REMOTE)
        manager._slots["acme"].retries = Retries(Budget(5, 60.0, clock=clock), sleep=clock.sleep, clock=clock)
        manager._modules.load("acme")
        (implementation,) = manager._modules._manager.hook.open_backend.get_hookimpls()
        real, attempts, due = implementation.function, [0], iter(failures)

        def open_backend(settings: Any, context: Any) -> object:
            attempts[0] += 1
            for failure in due:
                raise failure
            return real(settings, context)

        object.__setattr__(implementation, "function", open_backend)
        return manager, attempts

    monkeypatch.setattr("keyclave.backends.opening.monotonic", clock)
    return make


Opening = Callable[[Iterable[Exception]], tuple[BackendManager, list[int]]]


@pytest.mark.parametrize("second", [BUSY, DOWN])
def test_an_opening_that_was_throttled_is_made_again(opening: Opening, clock: Clock, second: Exception) -> None:
    manager, attempts = opening([Throttled("slow down", retry_after=3), second])
    assert manager.get("acme").id == "acme"
    assert attempts == [3]
    assert 3 <= clock.waits[0] <= 3.1


def test_an_opening_that_failed_otherwise_is_not(opening: Opening, clock: Clock) -> None:
    manager, attempts = opening([DOWN])
    with pytest.raises(BackendUnavailable, match="refused"):
        manager.get("acme")
    assert (attempts, clock.waits) == ([1], [])


def test_the_third_opening_is_the_last_and_its_time_is_that_of_all(opening: Opening, clock: Clock) -> None:
    manager, attempts = opening([BUSY, BUSY, BUSY, Throttled("slow down", retry_after=31)])
    with pytest.raises(Throttled) as raised:
        manager.get("acme")
    assert attempts == [3]
    assert raised.value.backend_id == "acme"
    assert raised.value.__context__ is None
    waits = len(clock.waits)
    with pytest.raises(Throttled):
        manager.get("acme")
    assert (attempts, len(clock.waits)) == ([4], waits)


def test_openings_and_calls_share_the_budget(opening: Opening) -> None:
    manager, attempts = opening(repeat(BUSY, 8))
    for _ in range(3):
        with pytest.raises(Throttled):
            manager.get("acme")
    assert attempts == [3 + 3 + 2]
    backend = manager.get("acme")
    flaky = Flaky(backend, "check_health", repeat(DOWN))
    with pytest.raises(BackendUnavailable):
        backend.check_health()
    assert flaky.calls == 1


def test_a_token_is_free_again_after_its_time(clock: Clock) -> None:
    budget = Budget(2, 10.0, clock=clock)
    assert [budget.take() for _ in range(4)] == [True, True, False, False]
    clock.now += 9.9
    assert not budget.take()
    clock.now += 0.1
    assert [budget.take() for _ in range(3)] == [True, True, False]
    assert not Budget(0, 10.0, clock=clock).take()


def test_a_signature_after_a_retry_is_verified_like_any_other(
    remote: Backend, created: Callable[..., CreatedKey]
) -> None:
    made = created(remote)
    Flaky(remote, "sign", [DOWN])
    signed = remote.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)(MESSAGE)
    public_key = load_der_public_key(made.public_key or b"")
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(signed.signature, MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_a_plaintext_is_in_no_frame_of_an_error(remote: Backend, use: Use) -> None:
    seals = use(remote, "encrypt")
    Flaky(remote, "encrypt", repeat(DOWN))
    with pytest.raises(BackendUnavailable) as raised:
        seals()
    traceback = raised.value.__traceback__
    inner = []
    while traceback is not None:
        inner.append(traceback.tb_frame)
        traceback = traceback.tb_next
    ours = [
        frame for frame in inner if "keyclave" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename
    ]
    assert ours
    assert not any(value == b"data" for frame in ours for value in frame.f_locals.values())


def test_what_makes_retries_is_imported_when_something_has_failed() -> None:
    code = (
        "import sys, keyclave.backends.manager as _\n"
        "from keyclave.backends.retrying import Retries\n"
        "from keyclave.errors import BackendUnavailable\n"
        "retries = Retries(sleep=lambda _: None)\n"
        "assert 'tenacity' not in sys.modules\n"
        "retries.settle(BackendUnavailable('x'), lambda seconds: 1, float('inf'))\n"
        "assert 'tenacity' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
