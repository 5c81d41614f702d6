"""A key is used in a backend of its level only, also when its backend was replaced by a weaker one (FR-014)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from keyclave import Keyclave
from keyclave.backends import rereading
from keyclave.errors import BackendUnavailable, PolicyViolation
from keyclave.models import SecurityLevel

from core.tests.services.conftest import Reopen

STRICT = '[environment]\ntype = "local"\nrequired_level = "TPM"\nprecedence = ["acme"]\n'
WITHOUT = '[environment]\ntype = "local"\n'
DEVICE = 'level = "TPM"\nlocation = "device"\n'
WEAKER = "the key requires TPM, and its backend shows SOFTWARE"
USES: dict[str, Callable[[Keyclave], object]] = {
    "sign": lambda clave: clave.keys.sign("s", b"message"),
    "encrypt": lambda clave: clave.keys.encrypt("e", b"message"),
    "rotate": lambda clave: clave.rotation.rotate("s"),
}


@pytest.mark.parametrize("use", USES)
def test_fr_014_a_weaker_backend_is_not_used(acme: str, reopen: Reopen, use: str) -> None:
    strong = reopen(STRICT + acme + 'level = "TPM"\n', without=WITHOUT)
    strong.keys.create("s", "ED25519")
    strong.keys.create("e", "AES_256")
    signature = strong.keys.sign("s", b"message").signature
    strong.close()
    weak = reopen(STRICT + acme + 'level = "SOFTWARE"\n', without=WITHOUT)
    with pytest.raises(PolicyViolation, match=WEAKER) as raised:
        USES[use](weak)
    assert "no other backend takes an existing key" in raised.value.next_step
    assert weak.recovery.open_intents() == ()
    assert [v.version for v in weak.keys.versions("s")] == [1]
    assert weak.keys.verify("s", b"message", signature) == 1


class Said:
    """The settings of the test plugin's backend, whose level the test changes while it is open."""

    def __init__(self, clave: Keyclave) -> None:
        opened = clave._backends._slots["acme"].opened
        assert opened is not None
        target: Any = opened.target
        self._settings = target._settings
        self.say: Callable[[], SecurityLevel] = lambda: SecurityLevel.TPM
        target._settings = self

    @property
    def level(self) -> SecurityLevel:
        return self.say()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settings, name)


@pytest.fixture
def minutes_later(monkeypatch: pytest.MonkeyPatch) -> Callable[[Keyclave, float], None]:
    """Let minutes pass for the levels, and the second in which what is bound is not looked at."""
    passed = 0.0
    monkeypatch.setattr(rereading, "monotonic", lambda: time.monotonic() + passed)

    def go(clave: Keyclave, minutes: float) -> None:
        nonlocal passed
        passed += minutes * 60
        clave.keys._instance.epoch.invalidate()

    return go


def wait_for_the_answer(clave: Keyclave) -> None:
    for thread in threading.enumerate():
        if thread.name == "keyclave-acme-level":
            thread.join(5)
    clave.keys._instance.epoch.invalidate()


@pytest.fixture(params=[True, False], ids=["audited", "not audited"])
def strong(request: pytest.FixtureRequest, acme: str, reopen: Reopen) -> Keyclave:
    """An instance with keys in a backend of level TPM, which are bound, and one in software beside it."""
    audit = "" if request.param else "[environment.audit]\nenabled = false\n"
    clave = reopen(STRICT + audit + acme + 'level = "TPM"\nlocation = "device"\n', without=WITHOUT)
    clave.keys.create("s", "ED25519")
    clave.keys.create("e", "AES_256")
    clave.keys.sign("s", b"message")
    return clave


@pytest.mark.parametrize("minutes", [51, 61])
def test_fr_014_a_key_whose_backend_lost_its_level_is_not_used_any_more(
    strong: Keyclave, minutes_later: Callable[[Keyclave, float], None], minutes: float
) -> None:
    ciphertext = strong.keys.encrypt("e", b"message")
    signature = strong.keys.sign("s", b"message").signature
    with strong._store.read() as state:
        epoch = state.epoch
    answering = threading.Event()

    def say() -> SecurityLevel:
        answering.wait(10)
        return SecurityLevel.SOFTWARE

    Said(strong).say = say
    minutes_later(strong, minutes)
    if minutes < 60:
        strong.keys.sign("s", b"message")  # what it showed last still counts, and the question is put meanwhile
    answering.set()
    if minutes < 60:
        wait_for_the_answer(strong)
    for use in USES.values():
        with pytest.raises(PolicyViolation, match=WEAKER):
            use(strong)
    with pytest.raises(PolicyViolation, match=WEAKER):
        strong.keys.decrypt("e", ciphertext)
    assert strong.keys.verify("s", b"message", signature) == 1
    assert strong.backends.show("acme").security_level is SecurityLevel.SOFTWARE
    with strong._store.read() as state:
        assert state.epoch > epoch, "what other processes have bound is bound anew"


def test_fr_014_a_level_that_was_lost_is_in_the_audit_log_once(
    strong: Keyclave, minutes_later: Callable[[Keyclave, float], None]
) -> None:
    Said(strong).say = lambda: SecurityLevel.SOFTWARE
    minutes_later(strong, 61)
    threads = [threading.Thread(target=sign_in_vain, args=(strong,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    minutes_later(strong, 61)  # it shows the same as an hour before
    sign_in_vain(strong)
    found = [record for record in strong.audit.records() if record.operation_type == "CHECK_LEVEL"]
    if not strong.audit.enabled:
        assert found == []
        return
    (record,) = found
    assert (record.key_handle_reference, record.backend_id, record.backend_type) == ("backend:acme", "acme", "acme")
    assert record.requesting_principal == strong.principal
    assert record.status == "FAILED"
    assert record.error_message == (
        "PolicyViolation: the backend lost its level: it was TPM and is SOFTWARE now (FR-014)"
    )
    assert strong.audit.verify().ok


def sign_in_vain(clave: Keyclave) -> None:
    for _ in range(2):
        with pytest.raises(PolicyViolation, match=WEAKER):
            clave.keys.sign("s", b"message")


def test_fr_014_no_signature_waits_for_the_level(
    strong: Keyclave, minutes_later: Callable[[Keyclave, float], None]
) -> None:
    release = threading.Event()
    said = Said(strong)

    def slowly() -> SecurityLevel:
        release.wait(10)
        return SecurityLevel.TPM

    said.say = slowly
    minutes_later(strong, 51)
    began = time.monotonic()
    for _ in range(50):
        strong.keys.sign("s", b"message")
    assert time.monotonic() - began < 3
    assert [t for t in threading.enumerate() if t.name == "keyclave-acme-level"], "and yet it is asked"
    release.set()
    wait_for_the_answer(strong)
    strong.keys.sign("s", b"message")


def test_fr_014_a_level_without_an_answer_stops_the_keys_of_its_backend_only(
    acme: str, reopen: Reopen, minutes_later: Callable[[Keyclave, float], None]
) -> None:
    clave = reopen(acme + 'location = "device"\n')
    clave.keys.create("s", "ED25519", backend="acme")
    clave.keys.create("soft", "ED25519", backend="software")
    for name in ("s", "soft"):
        clave.keys.sign(name, b"message")

    def unplugged() -> SecurityLevel:
        raise BackendUnavailable("it is unplugged")

    said = Said(clave)
    said.say = unplugged
    minutes_later(clave, 61)
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match=r"read more than an hour ago.*it is unplugged"):
            clave.keys.sign("s", b"message")
        clave.keys.sign("soft", b"message")
    health = clave.backends.health()
    assert {name: result.status.value for name, result in health.items()} == {
        "software": "AVAILABLE",
        "acme": "UNAVAILABLE",
    }
    said.say = lambda: SecurityLevel.SOFTWARE
    minutes_later(clave, 1.1)
    clave.keys.sign("s", b"message")


def test_fr_014_whoever_only_watches_reads_the_level_as_well(
    strong: Keyclave, minutes_later: Callable[[Keyclave, float], None]
) -> None:
    Said(strong).say = lambda: SecurityLevel.SOFTWARE
    minutes_later(strong, 51)
    strong.backends.health()
    wait_for_the_answer(strong)
    assert strong.backends.show("acme").security_level is SecurityLevel.SOFTWARE
