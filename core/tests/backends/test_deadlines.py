"""Calls with a time limit, in threads that are used again. Gates decide what happens when, never a clock."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from keyclave.backends.backend import Backend
from keyclave.backends.deadlines import Job, Overdue, Workers
from keyclave.backends.limits import TimeLimits
from keyclave.backends.manager import BackendManager
from keyclave.errors import DeadlineExceeded, OutcomeUnknown
from keyclave.plugin import CreatedKey, CreateKeyRequest

AT_ONCE = 0.01
NEVER = 60.0


@pytest.fixture
def workers() -> Workers:
    return Workers("test", limit=2)


def test_a_result_that_comes_at_the_very_end_is_taken() -> None:
    """The worker has won the race for the end and not said so yet: its result is waited for."""
    job: Job[int] = Job(lambda: 7, None)
    assert job._started.acquire(blocking=False)
    assert job._ended.acquire(blocking=False)
    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(job.wait, 0.0)
        with pytest.raises(TimeoutError):
            waiting.result(AT_ONCE)
        job.result = 7
        job._finished.set()
        assert waiting.result(NEVER) == 7


def test_results_and_exceptions_come_back(workers: Workers) -> None:
    assert workers.run(lambda: 7, NEVER) == 7
    with pytest.raises(ZeroDivisionError):
        workers.run(lambda: 1 // 0, NEVER)


def test_threads_are_used_again_and_are_daemons(workers: Workers) -> None:
    threads = {workers.run(threading.current_thread, NEVER) for _ in range(50)}
    assert len(threads) <= 2
    assert all(thread.daemon for thread in threads)
    workers.close()
    for thread in threads:
        thread.join(NEVER)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    script = (
        "import os\n"
        "from keyclave.backends.deadlines import Workers\n"
        "workers = Workers('test')\n"
        "parent = workers.run(os.getpid, 60.0)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(7 if workers.run(os.getpid, 10.0) == os.getpid() != parent else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), workers.run(os.getpid, 60.0) == parent)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "7 True\n"


def test_a_call_that_does_not_return_is_left_alone(workers: Workers) -> None:
    gate, entered = threading.Event(), threading.Event()
    discarded: list[str] = []
    done = threading.Event()

    def work() -> str:
        entered.set()
        gate.wait()
        return "late"

    def discard(result: str) -> None:
        discarded.append(result)
        done.set()

    with pytest.raises(Overdue) as overdue:
        workers.run(work, 1.0, discard=discard)
    assert entered.is_set() is overdue.value.started
    gate.set()
    if overdue.value.started:
        assert done.wait(NEVER)
        assert discarded == ["late"]
    assert workers.run(lambda: "still working", NEVER) == "still working"


def test_a_call_that_was_never_begun_never_will_be(workers: Workers) -> None:
    gate = threading.Event()
    both_busy = threading.Barrier(3)
    begun: list[str] = []

    def occupy() -> None:
        both_busy.wait(NEVER)
        gate.wait()

    with ThreadPoolExecutor(2) as callers:
        for _ in range(2):
            callers.submit(workers.run, occupy, NEVER)
        both_busy.wait(NEVER)
        with pytest.raises(Overdue) as overdue:
            workers.run(lambda: begun.append("begun"), AT_ONCE)
        assert overdue.value.started is False
        gate.set()
    assert workers.run(lambda: 7, NEVER) == 7
    assert workers.run(lambda: 8, NEVER) == 8
    assert not begun


def test_an_interrupt_raised_by_the_call_itself_is_an_ordinary_failure(workers: Workers) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(RuntimeError, match="KeyboardInterrupt"):
        workers.run(work, NEVER)


def test_many_callers_share_few_threads(workers: Workers) -> None:
    with ThreadPoolExecutor(16) as callers:
        results = callers.map(lambda number: workers.run(lambda: number * 2, NEVER), range(400))
    assert list(results) == [number * 2 for number in range(400)]


@pytest.fixture
def stuck(
    installed: Callable[..., None], manage: Callable[..., BackendManager]
) -> Callable[[str], tuple[Backend, threading.Event]]:
    """Open the healthy plugin as a device, and let one of its hooks hang until the gate opens."""
    gates: list[threading.Event] = []

    def make(hook: str) -> tuple[Backend, threading.Event]:
        installed("acme")
        limits = TimeLimits(create_key=1.0, survey=1.0, other=1.0)
        backend = manage("acme", limits=limits, location="device").get("acme")
        implementation = getattr(backend.calls._relay, hook).get_hookimpls()[0]
        function, gate = implementation.function, threading.Event()
        gates.append(gate)

        def hang(*arguments: object) -> object:
            gate.wait()
            return function(*arguments)

        object.__setattr__(implementation, "function", hang)
        return backend, gate

    return make


def test_a_read_that_hangs_changed_nothing(
    stuck: Callable[[str], tuple[Backend, threading.Event]], created: Callable[..., CreatedKey]
) -> None:
    backend, gate = stuck("find_key")
    made = created(backend)
    with pytest.raises(DeadlineExceeded, match="find_key backend 'acme': no answer within 1 s") as raised:
        backend.find_key(made.reference.label)
    assert raised.value.retryable
    assert raised.value.__context__ is None
    gate.set()
    assert backend.find_key(made.reference.label) == made.reference


def test_a_change_that_hangs_may_have_happened(
    stuck: Callable[[str], tuple[Backend, threading.Event]], request_for: Callable[..., CreateKeyRequest]
) -> None:
    backend, gate = stuck("create_key")
    request = request_for()
    assert backend.check_health()  # so that a thread is there to begin with the next call at once
    with pytest.raises(OutcomeUnknown, match="create_key backend 'acme': no answer within 1 s") as raised:
        backend.create_key(request)
    assert raised.value.retryable is False
    gate.set()
    assert backend.create_key(request).reference == backend.find_key(request.label)


def test_a_signature_that_hangs_is_given_up(
    stuck: Callable[[str], tuple[Backend, threading.Event]], created: Callable[..., CreatedKey]
) -> None:
    backend, gate = stuck("sign")
    made = created(backend)
    sign = backend.bind_signer(made.reference, made.public_key, "ECDSA_SHA256", prehashed=False)
    with pytest.raises(DeadlineExceeded, match="sign backend 'acme': no answer within 1 s"):
        sign(b"message")
    gate.set()
    assert sign(b"message").signature


def test_a_change_that_was_never_begun_did_not_happen(
    stuck: Callable[[str], tuple[Backend, threading.Event]],
    request_for: Callable[..., CreateKeyRequest],
    created: Callable[..., CreatedKey],
) -> None:
    backend, gate = stuck("check_health")
    made, request = created(backend), request_for()
    workers = Workers("one", limit=1)
    backend.calls.workers = workers
    with pytest.raises(DeadlineExceeded):
        backend.check_health()  # occupies the one thread
    with pytest.raises(DeadlineExceeded, match="create_key backend 'acme': no answer within 1 s"):
        backend.create_key(request)
    gate.set()
    assert [key.label for key in backend.list_keys()] == [made.reference.label]
