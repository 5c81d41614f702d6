"""Whatever happens to a call on the way to KMS: the right error, one key or none, and the same call works again.

Against MiniStack, and against the project's own KMS, through the fault proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_tests.faulty import Place, asks_for, place_before
from aws_tests.matrix import FAULTS, HARMLESS, OPERATIONS, SILENT, Expected, Operation
from botocore.config import Config
from keyclave.errors import BackendUnavailable, KeyclaveError, OutcomeUnknown, Throttled
from keyclave_aws import connecting, patience

from tests.services import faults, ministack
from tests.services.kms import server

READ_SECONDS = 1.5


@pytest.fixture(scope="module")
def emulator() -> Iterator[ministack.Server]:
    with ministack.running() as emulator:
        yield emulator


@pytest.fixture
def place(emulator: ministack.Server, tmp_path: Path) -> Iterator[Place]:
    emulator.reset()
    with place_before(emulator.port, tmp_path) as place:
        yield place


@pytest.fixture
def own_place(tmp_path: Path) -> Iterator[Place]:
    with server.running() as own, place_before(own.port, tmp_path) as place:
        yield place


@pytest.mark.needs("ministack")
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_that_fails_on_the_way_says_so_and_can_be_repeated(place: Place, name: str, fault: str) -> None:
    error = suffer(place, OPERATIONS[name], FAULTS[fault])
    if isinstance(error, Throttled):
        assert error.retry_after == (2 if "Retry-After" in fault else None)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("fault", SILENT)
def test_a_call_that_is_not_answered_says_so_and_can_be_repeated(
    own_place: Place, monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    monkeypatch.setattr(connecting, "Config", lambda **options: Config(**options | {"read_timeout": READ_SECONDS}))
    suffer(own_place, OPERATIONS[name], SILENT[fault])


def suffer(place: Place, operation: Operation, expected: Expected) -> KeyclaveError:
    """Let a call fail, and return its error, once the call worked again, and in another process as well."""
    backend = place.open()
    prepared = operation.prepare(place, backend)
    place.proxy.arm(expected.fault, asks_for(operation.target))
    with pytest.raises(KeyclaveError) as caught:
        operation.act(place, backend, prepared)
    assert place.proxy.disarm() == 0
    kind = expected.error(changes=operation.changes)
    assert (type(caught.value), caught.value.retryable) == (kind, kind is not OutcomeUnknown)
    assert "arn:" not in str(caught.value)
    again = operation.act(place, backend, prepared)
    operation.check(place, prepared)
    assert operation.act(place, place.open(), prepared) == again
    operation.check(place, prepared)
    return caught.value


@pytest.mark.needs("ministack")
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_service_that_is_away_was_asked_nothing(place: Place, name: str) -> None:
    operation, backend = OPERATIONS[name], place.open()
    prepared = operation.prepare(place, backend)
    with place.proxy.away(), pytest.raises(BackendUnavailable) as caught:
        operation.act(place, backend, prepared)
    assert caught.value.retryable
    operation.act(place, backend, prepared)
    operation.check(place, prepared)


@pytest.mark.needs("ministack")
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("fault", HARMLESS)
def test_an_answer_that_comes_oddly_is_an_answer(place: Place, name: str, fault: str) -> None:
    operation, backend = OPERATIONS[name], place.open()
    prepared = operation.prepare(place, backend)
    place.proxy.arm(HARMLESS[fault], asks_for(operation.target))
    first = operation.act(place, backend, prepared)
    assert place.proxy.disarm() == 0
    operation.check(place, prepared)
    assert operation.act(place, backend, prepared) == first
    operation.check(place, prepared)


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
def test_a_creation_that_is_interrupted_is_found_by_the_next_process(
    own_place: Place, ends: type[BaseException]
) -> None:
    def interrupt(**_: object) -> None:
        raise ends

    backend, label = own_place.open(), own_place.label()
    backend._kms._connection.client.meta.events.register("after-call.kms.CreateKey", interrupt)
    with pytest.raises(ends):
        own_place.create(backend, label)
    (made,) = own_place.arns(label)
    assert own_place.create(own_place.open(), label).reference.uri == made
    assert own_place.arns(label) == [made]


def test_a_key_that_shows_up_late_is_found_after_any_other_failure(
    own_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS is eventually consistent: what a lost call made may be missing in a list for a while."""
    monkeypatch.setattr(patience, "_PAUSES", ())
    backend, label = own_place.open(), own_place.label()
    own_place.proxy.arm(faults.lost_after, asks_for("CreateKey"))
    with pytest.raises(OutcomeUnknown):
        own_place.create(backend, label)
    nothing = faults.answered(200, b'{"Keys": [], "Truncated": false}', {"x-amzn-RequestId": "1"})
    own_place.proxy.arm(nothing, asks_for("ListKeys"))
    own_place.proxy.arm(faults.answered(429), asks_for("CreateKey"))
    with pytest.raises(Throttled):
        own_place.create(backend, label)
    assert own_place.proxy.disarm() == 0
    (made,) = own_place.arns(label)
    assert own_place.create(backend, label).reference.uri == made
    assert own_place.arns(label) == [made]
