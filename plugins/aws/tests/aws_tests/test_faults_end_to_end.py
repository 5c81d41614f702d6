"""What happens on the way to KMS, seen by an application: through the core's retries, recovery and audit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import keyclave
import pytest
from aws_tests.faulty import Place, asks_for, place_before, settings_for
from keyclave import Keyclave
from keyclave.errors import BackendUnavailable, DecryptionFailed, IntegrityError, OutcomeUnknown, Throttled
from keyclave.models import OperationStatus

from tests.services import faults, ministack

pytestmark = [
    pytest.mark.needs("ministack"),
    pytest.mark.filterwarnings("ignore:FR-023"),  # access keys, since nothing else can be had from an emulator
]

MESSAGE = b"a message"
Open = Callable[[], Keyclave]


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
def reopen(place: Place, tmp_path: Path) -> Iterator[Open]:
    """Open the instance again and again, as one process after another."""
    settings = {**settings_for(place.proxy.endpoint, tmp_path), "accept_simulator": True}
    lines = [f"{key} = {json.dumps(value if value is True else str(value))}" for key, value in settings.items()]
    config = tmp_path / "keyclave.toml"
    config.write_text(
        f"[state]\ndirectory = {json.dumps(str(tmp_path / 'state'))}\n"
        '[environment]\ntype = "local"\n[backends.cloud]\nplugin = "aws"\n' + "\n".join(lines) + "\n"
    )
    opened: list[Keyclave] = []

    def reopen() -> Keyclave:
        for clave in opened:
            clave.close()
        opened.append(keyclave.open(config, principal="tester"))
        return opened[-1]

    yield reopen
    for clave in opened:
        clave.close()


@pytest.fixture
def clave(reopen: Open) -> Keyclave:
    return reopen()


def states(place: Place) -> list[str]:
    """The states of all keys in KMS."""
    return sorted(place.state(key["KeyArn"]) for key in place.direct.list_keys(Limit=1000)["Keys"])


def count(place: Place, target: str) -> int:
    chosen = asks_for(target)
    return sum(chosen(exchange.request) for exchange in place.proxy.exchanges)


def create(clave: Keyclave, name: str = "release", algorithm: str = "ECDSA_P256") -> None:
    clave.keys.create(name, algorithm, backend="cloud")


@pytest.mark.parametrize("target", ["CreateKey", "CreateAlias"])
def test_a_key_whose_making_was_not_answered_is_found_and_undone(place: Place, clave: Keyclave, target: str) -> None:
    place.proxy.arm(faults.lost_after, asks_for(target))
    with pytest.raises(OutcomeUnknown):
        create(clave)
    assert states(place) == ["Enabled"]
    assert [intent.kind for intent in clave.recovery.run()] == ["create"]
    assert states(place) == ["PendingDeletion"]
    create(clave)
    assert states(place) == ["Enabled", "PendingDeletion"]
    assert clave.keys.verify("release", MESSAGE, clave.keys.sign("release", MESSAGE).signature) == 1


@pytest.mark.parametrize("target", ["CreateKey", "CreateAlias"])
def test_the_next_process_undoes_what_the_last_one_left(place: Place, reopen: Open, target: str) -> None:
    clave = reopen()
    place.proxy.arm(faults.lost_after, asks_for(target))
    with pytest.raises(OutcomeUnknown):
        create(clave)
    clave = reopen()
    assert [intent.kind for intent in clave.recovered] == ["create"]
    assert states(place) == ["PendingDeletion"]
    assert clave.keys.list() == ()


def test_a_throttled_creation_is_repeated_and_makes_one_key(place: Place, clave: Keyclave) -> None:
    create(clave, "before")
    throttled = faults.answered(400, b'{"__type":"ThrottlingException"}')
    for target in ("DescribeKey", "CreateKey", "CreateAlias"):
        place.proxy.arm(throttled, asks_for(target))
        create(clave, target.lower())
        assert place.proxy.disarm() == 0
    assert states(place) == ["Enabled"] * 4
    assert clave.recovery.open_intents() == ()


def test_an_opening_that_is_throttled_is_repeated(place: Place, reopen: Open) -> None:
    throttled = faults.answered(400, b'{"__type":"ThrottlingException"}')
    place.proxy.arm(throttled, asks_for("DescribeKey"), times=2)
    assert reopen().backends.show("cloud").backend_id == "cloud"
    assert count(place, "DescribeKey") == 3
    place.proxy.arm(throttled, asks_for("DescribeKey"), times=4)
    with pytest.raises(Throttled):
        reopen().backends.show("cloud")
    assert place.proxy.disarm() == 1


@pytest.mark.parametrize("fault", [faults.lost_before, faults.lost_after, faults.truncated, faults.answered(503)])
def test_a_signature_is_asked_for_again_and_one_is_released(
    place: Place, clave: Keyclave, fault: faults.Fault
) -> None:
    create(clave)
    before = count(place, "Sign")
    place.proxy.arm(fault, asks_for("Sign"), times=2)
    signature = clave.keys.sign("release", MESSAGE).signature
    assert count(place, "Sign") == before + 3
    assert clave.keys.verify("release", MESSAGE, signature) == 1


def test_a_service_that_fails_all_the_time_is_asked_three_times(place: Place, clave: Keyclave) -> None:
    create(clave)
    before = count(place, "Sign")
    place.proxy.arm(faults.answered(503), asks_for("Sign"), times=10)
    with pytest.raises(BackendUnavailable) as caught:
        clave.keys.sign("release", MESSAGE)
    assert caught.value.retryable
    assert (count(place, "Sign") - before, place.proxy.disarm()) == (3, 7)


def test_the_signature_of_another_message_is_not_released(place: Place, clave: Keyclave) -> None:
    create(clave)
    clave.keys.sign("release", b"another message")
    earlier = place.proxy.exchanges[-1].answers[0]
    place.proxy.arm(faults.misanswered(earlier), asks_for("Sign"))
    with pytest.raises(IntegrityError):
        clave.keys.sign("release", MESSAGE)
    assert place.proxy.disarm() == 0
    assert list(clave.audit.records())[-1].status is OperationStatus.FAILED
    assert clave.keys.verify("release", MESSAGE, clave.keys.sign("release", MESSAGE).signature) == 1


def test_the_plaintext_of_another_ciphertext_is_not_released(place: Place, clave: Keyclave) -> None:
    create(clave, "data", "AES_256")
    one, other = (clave.keys.encrypt("data", message, aad=b"") for message in (b"one", b"other"))
    assert clave.keys.decrypt("data", other, aad=b"") == b"other"
    place.proxy.arm(faults.misanswered(place.proxy.exchanges[-1].answers[0]), asks_for("Decrypt"))
    with pytest.raises((IntegrityError, DecryptionFailed)):
        clave.keys.decrypt("data", one, aad=b"")
    assert place.proxy.disarm() == 0
    assert clave.keys.decrypt("data", one, aad=b"") == b"one"


@pytest.mark.parametrize("fault", [faults.lost_before, faults.lost_after])
def test_a_revocation_that_was_not_answered_is_finished(place: Place, clave: Keyclave, fault: faults.Fault) -> None:
    create(clave)
    place.proxy.arm(fault, asks_for("DisableKey"))
    with pytest.raises(OutcomeUnknown):
        clave.keys.revoke("release", "the test says so")
    assert [intent.kind for intent in clave.recovery.run()] == ["revoke"]
    assert states(place) == ["Disabled"]


@pytest.mark.parametrize("fault", [faults.lost_before, faults.lost_after])
def test_a_destruction_that_was_not_answered_is_finished(place: Place, reopen: Open, fault: faults.Fault) -> None:
    clave = reopen()
    create(clave)
    clave.keys.revoke("release", "the test says so")
    place.proxy.arm(fault, asks_for("ScheduleKeyDeletion"))
    with pytest.raises(OutcomeUnknown):
        clave.keys.destroy("release", 1)
    clave = reopen()
    assert [intent.kind for intent in clave.recovered] == ["destroy"]
    assert states(place) == ["PendingDeletion"]
