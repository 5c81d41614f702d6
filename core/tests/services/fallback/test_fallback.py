"""When a standby signs, when it must not, and for how long: the rules of a fallback (FR-024).

No real backend fails in every way on demand, so that these are told what to raise. What a real one does when it is
taken away is in the tests of pkcs11-hsm.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable
from copy import copy

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from keyclave import Keyclave, SignResult
from keyclave.backends.backend import Backend
from keyclave.errors import (
    AccessDenied,
    AuthenticationFailed,
    BackendUnavailable,
    CapabilityUnsupported,
    Conflict,
    DeadlineExceeded,
    IntegrityError,
    InvalidArgument,
    KeyclaveError,
    KeyDisabled,
    KeyNotFound,
    OutcomeUnknown,
    PolicyViolation,
    Throttled,
)
from keyclave.models import KeyStatus
from keyclave.plugin import Signed
from keyclave.services.fallback import outage

from core.tests.services.clock import Clock
from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing
from core.tests.services.fallback.test_standby import ENABLED, MESSAGE, SPARE

LIMITED = f'{ENABLED}max_duration = "1h"\n'
BEGIN, END = "BEGIN_FALLBACK", "END_FALLBACK"
HOUR = 3600
Away = dict[str, KeyclaveError]
TYPE = 'type = "local"\n'


@pytest.fixture(autouse=True)
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    """What each backend raises instead of signing, by its id."""
    away: Away = {}
    bind_signer = Backend.bind_signer

    def bind(backend: Backend, /, *arguments: object, **options: object) -> Callable[[bytes], Signed]:
        sign = bind_signer(backend, *arguments, **options)  # type: ignore[arg-type]  # as they came

        def sign_unless_away(data: bytes) -> Signed:
            if backend.id in away:
                raise copy(away[backend.id])
            return sign(data)

        return sign_unless_away

    monkeypatch.setattr(Backend, "bind_signer", bind)
    return away


@pytest.fixture
def clave(reopen: Reopen) -> Keyclave:
    return with_key(reopen(SPARE + ENABLED))


@pytest.fixture
def asked_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call asks the backend whether it is back."""
    monkeypatch.setattr(outage, "_PAUSE", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, asked_always: None) -> Clock:
    """The time as a fallback sees it."""
    return Clock(monkeypatch, outage)


def with_key(clave: Keyclave, algorithm: str = "ECDSA_P256") -> Keyclave:
    clave.keys.create("k", algorithm)
    return clave


def sign(clave: Keyclave) -> SignResult:
    return clave.keys.sign("k", MESSAGE)


def refused(clave: Keyclave) -> str:
    """Sign in vain, and return what to do next."""
    with pytest.raises(BackendUnavailable, match="unplugged") as raised:
        sign(clave)
    return raised.value.next_step


def records(clave: Keyclave) -> list[tuple[str, str, int | None, str | None]]:
    """What the log says of signatures and fallbacks."""
    return [
        (r.operation_type.value, r.status.value, r.key_version, r.backend_id)
        for r in clave.audit.records()
        if r.operation_type in {"SIGN", BEGIN, END}
    ]


def unplugged() -> BackendUnavailable:
    return BackendUnavailable("unplugged")


@pytest.mark.parametrize("error", [unplugged(), DeadlineExceeded("no answer within 5 s")])
def test_fr_024_the_standby_signs_while_the_backend_does_not_answer(
    clave: Keyclave, away: Away, error: KeyclaveError
) -> None:
    assert not sign(clave).fallback
    away["software"] = error
    result = sign(clave)
    assert (result.fallback, result.version, result.backend_id) == (True, 2, "spare")
    clave.keys.public_key("k", 2).verify(result.signature, MESSAGE, ECDSA(SHA256()))
    assert clave.keys.verify("k", MESSAGE, result.signature) == 2
    assert result.audit_reference is not None
    assert sign(clave).fallback
    assert records(clave) == [
        ("SIGN", "SUCCESS", 1, "software"),
        ("SIGN", "FAILED", 1, "software"),
        (BEGIN, "SUCCESS", None, "software"),
        ("SIGN", "SUCCESS", 2, "spare"),
        ("SIGN", "SUCCESS", 2, "spare"),  # the backend is not asked again yet
    ]
    assert clave.audit.verify().ok


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("no"),
        AuthenticationFailed("the PIN is wrong"),
        BackendUnavailable("the backend is out of use", retryable=False),
        CapabilityUnsupported("no"),
        Conflict("no"),
        IntegrityError("no"),
        InvalidArgument("no"),
        KeyDisabled("no"),
        KeyNotFound("no"),
        OutcomeUnknown("no"),
        PolicyViolation("no"),
        Throttled("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_fr_024_nothing_else_leads_to_a_fallback(clave: Keyclave, away: Away, error: KeyclaveError) -> None:
    away["software"] = error
    for _ in range(2):
        with pytest.raises(type(error), match=error.message):
            sign(clave)
    assert {record[:3] for record in records(clave)} == {("SIGN", "FAILED", 1)}


@pytest.mark.parametrize(
    "error",
    [AuthenticationFailed("the PIN is wrong"), BackendUnavailable("the backend is out of use", retryable=False)],
)
def test_fr_024_a_backend_that_comes_back_and_refuses_ends_the_use_of_the_standby(
    clave: Keyclave, away: Away, monkeypatch: pytest.MonkeyPatch, error: KeyclaveError
) -> None:
    monkeypatch.setattr(outage, "_PAUSE", 0.0)
    away["software"] = unplugged()
    assert sign(clave).fallback
    monkeypatch.setattr(outage, "_PAUSE", 1000.0)
    away["software"] = error
    for _ in range(2):
        with pytest.raises(type(error), match=error.message):
            sign(clave)
    del away["software"]
    assert not sign(clave).fallback
    assert records(clave)[-1][0] == END


def test_fr_024_without_the_policy_the_call_fails_though_there_is_a_standby(
    clave: Keyclave, away: Away, reopen: Reopen
) -> None:
    away["software"] = unplugged()
    without = reopen(SPARE)
    assert [v.status for v in without.keys.versions("k")] == [KeyStatus.ACTIVE, KeyStatus.STANDBY]
    refused(without)
    assert sign(clave).fallback


def test_fr_024_a_key_without_a_standby_fails_as_before(clave: Keyclave, away: Away) -> None:
    clave.keys.create("other", "ED25519", backend="spare")
    away["spare"] = unplugged()
    with pytest.raises(BackendUnavailable):
        clave.keys.sign("other", MESSAGE)
    assert BEGIN not in {record[0] for record in records(clave)}


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_fr_024_a_fallback_begins_with_one_record_of_the_level_of_the_policy(
    reopen: Reopen, away: Away, caplog: pytest.LogCaptureFixture, level: str
) -> None:
    clave = with_key(reopen(f'{SPARE}{LIMITED}warning_level = "{level}"\n'))
    away["software"] = unplugged()
    with caplog.at_level(logging.INFO, "keyclave.fallback"):
        sign(clave)
        sign(clave)
    (record,) = (r for r in caplog.records if r.name == "keyclave.fallback")
    assert record.levelname == level
    assert "backend 'software' is unavailable (unplugged)" in record.getMessage()
    assert record.getMessage().endswith("UTC at the latest")


@pytest.mark.usefixtures("asked_always")
def test_fr_024_a_fallback_ends_by_itself_with_the_first_answer(
    clave: Keyclave, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    away["software"] = unplugged()
    assert [sign(clave).fallback for _ in range(2)] == [True, True]
    away.clear()
    with caplog.at_level(logging.INFO, "keyclave.fallback"):
        assert [sign(clave).fallback for _ in range(2)] == [False, False]
    assert "backend 'software' is back" in caplog.text
    assert records(clave)[-3:] == [
        ("SIGN", "SUCCESS", 1, "software"),
        (END, "SUCCESS", None, "software"),
        ("SIGN", "SUCCESS", 1, "software"),
    ]


def test_fr_024_a_health_check_that_passes_ends_a_fallback(clave: Keyclave, away: Away) -> None:
    away["software"] = unplugged()
    sign(clave)
    for _ in range(2):
        clave.health.check()
    assert records(clave)[-1] == (END, "SUCCESS", None, "software")


def test_fr_024_a_fallback_does_not_last_longer_than_the_policy_allows(
    reopen: Reopen, away: Away, clock: Clock
) -> None:
    clave = with_key(reopen(SPARE + LIMITED))
    away["software"] = unplugged()
    assert sign(clave).fallback
    clock.go(seconds=HOUR - 1)
    assert sign(clave).fallback
    clock.go(seconds=1)
    assert "max_duration" in refused(clave)
    assert "max_duration" in refused(reopen(SPARE + LIMITED))
    assert records(clave)[-1] == ("SIGN", "FAILED", 1, "software")
    del away["software"]
    assert not sign(clave).fallback


def test_fr_024_after_its_end_another_fallback_has_all_its_time(reopen: Reopen, away: Away, clock: Clock) -> None:
    clave = with_key(reopen(SPARE + LIMITED))
    for _ in range(3):
        away["software"] = unplugged()
        assert sign(clave).fallback
        clock.go(seconds=HOUR - 1)
        assert sign(clave).fallback
        del away["software"]
        assert not sign(clave).fallback
        clock.go(seconds=60)


def test_fr_024_a_backend_that_comes_and_goes_lengthens_nothing(reopen: Reopen, away: Away, clock: Clock) -> None:
    clave = with_key(reopen(SPARE + LIMITED))
    for _ in range(2 * 60):
        away["software"] = unplugged()
        assert sign(clave).fallback
        assert sign(clave).fallback
        clock.go(seconds=15)
        del away["software"]
        assert not sign(clave).fallback
        clock.go(seconds=15)
    away["software"] = unplugged()
    assert "max_duration" in refused(clave)


def test_fr_024_instances_on_one_state_share_the_time_of_a_fallback(reopen: Reopen, away: Away, clock: Clock) -> None:
    first = with_key(reopen(SPARE + LIMITED))
    second = reopen(SPARE + LIMITED)
    away["software"] = unplugged()
    assert sign(first).fallback
    clock.go(seconds=HOUR - 1)
    assert sign(second).fallback
    clock.go(seconds=1)
    assert "max_duration" in refused(first)
    assert "max_duration" in refused(second)
    assert [record[0] for record in records(first)].count(BEGIN) == 1


def test_fr_024_a_fallback_that_was_never_ended_does_not_count_for_who_had_answers_since(
    reopen: Reopen, away: Away, clock: Clock
) -> None:
    gone = with_key(reopen(SPARE + LIMITED))
    other = reopen(SPARE + LIMITED)
    assert not sign(other).fallback
    away["software"] = unplugged()
    clock.go(seconds=1)
    assert sign(gone).fallback
    gone.close()
    del away["software"]
    clock.go(seconds=5 * HOUR)
    assert not sign(other).fallback
    clock.go(seconds=60)
    away["software"] = unplugged()
    assert sign(other).fallback
    clock.go(seconds=HOUR - 1)
    assert sign(other).fallback
    clock.go(seconds=1)
    refused(other)


def test_fr_024_an_answer_to_another_process_lengthens_no_fallback(reopen: Reopen, away: Away, clock: Clock) -> None:
    first = with_key(reopen(SPARE + LIMITED))
    second = reopen(SPARE + LIMITED)
    assert not sign(second).fallback
    away["software"] = unplugged()
    assert sign(first).fallback
    clock.go(seconds=HOUR - 1)
    del away["software"]
    assert not sign(second).fallback
    clock.go(seconds=1)
    away["software"] = unplugged()
    assert "max_duration" in refused(second)
    assert "max_duration" in refused(first)


def test_fr_024_a_fallback_that_a_killed_process_left_is_ended_by_the_next_one(
    reopen: Reopen, away: Away, clock: Clock
) -> None:
    gone = with_key(reopen(SPARE + LIMITED))
    away["software"] = unplugged()
    assert sign(gone).fallback
    gone.close()
    del away["software"]
    clave = reopen(SPARE + LIMITED)
    assert not sign(clave).fallback
    assert records(clave)[-1][0] == END


def test_fr_024_an_instance_without_an_audit_log_falls_back_as_well(reopen: Reopen, away: Away) -> None:
    clave = with_key(reopen(f"{SPARE}{ENABLED}[environment.audit]\nenabled = false\n"))
    away["software"] = unplugged()
    result = sign(clave)
    assert (result.fallback, result.version, result.audit_reference) == (True, 2, None)


@pytest.mark.usefixtures("asked_always")
@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "ED25519"])
def test_fr_024_a_stream_is_signed_by_the_standby_too(clave: Keyclave, away: Away, algorithm: str) -> None:
    clave.keys.create("streamed", algorithm)
    away["software"] = unplugged()
    for fallback in (True, True, False):
        if not fallback:
            del away["software"]
        result = clave.keys.sign_stream("streamed", io.BytesIO(MESSAGE))
        assert result.fallback is fallback
        assert clave.keys.verify("streamed", MESSAGE, result.signature) == result.version


def test_fr_024_a_stream_is_signed_by_the_standby_where_the_other_backend_does_not_open(
    clave: Keyclave, away: Away
) -> None:
    with failing(clave, "bind_signer", unplugged()):
        result = clave.keys.sign_stream("k", io.BytesIO(MESSAGE))
    assert result.fallback
    assert clave.keys.verify("k", MESSAGE, result.signature) == 2


def test_fr_024_what_the_standby_cannot_sign_fails_for_the_first_reason(
    acme: str, reopen: Reopen, away: Away
) -> None:
    order = 'precedence = ["software", "acme"]\n'
    clave = with_key(reopen(f"{order}{ENABLED}{acme}", after=TYPE))
    away["software"] = unplugged()
    digest = hashlib.sha256(MESSAGE).digest()
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="unplugged"):
            clave.keys.sign("k", digest, prehashed=True)
    assert sign(clave).backend_id == "acme"


def test_fr_024_no_certificate_is_signed_by_the_standby(clave: Keyclave, away: Away) -> None:
    private = clave.keys.private_key("k")
    away["software"] = unplugged()
    assert sign(clave).fallback
    with pytest.raises(BackendUnavailable):
        private.sign(MESSAGE, ECDSA(SHA256()))


def test_fr_024_the_error_of_the_standby_is_told_where_both_are_away(clave: Keyclave, away: Away) -> None:
    away.update(software=unplugged(), spare=BackendUnavailable("on fire"))
    with pytest.raises(BackendUnavailable, match="backend 'spare' key 'k': on fire"):
        sign(clave)


def test_fr_024_a_key_that_is_revoked_meanwhile_is_not_signed_with(
    clave: Keyclave, away: Away, reopen: Reopen
) -> None:
    away["software"] = unplugged()
    assert sign(clave).fallback
    reopen(SPARE + ENABLED).keys.revoke("k", "stolen")
    for _ in range(2):
        with pytest.raises(KeyDisabled):
            sign(clave)


def test_fr_024_a_standby_that_is_replaced_meanwhile_hands_over(clave: Keyclave, away: Away, reopen: Reopen) -> None:
    away["software"] = unplugged()
    assert sign(clave).version == 2
    other = reopen(SPARE + ENABLED)
    other.keys.add_standby("k")
    assert sign(clave).version == 3
    sign(clave)
    other.keys.remove_standby("k")
    refused(clave)  # it was bound a moment ago
    clave.keys._instance.epoch.invalidate()
    refused(clave)


def test_fr_024_a_standby_whose_backend_lost_its_level_does_not_sign(acme: str, reopen: Reopen, away: Away) -> None:
    strict = 'required_level = "TPM"\nprecedence = ["acme"]\n'
    spare = acme.replace("[backends.acme]", "[backends.spare]")
    hsm, tpm, weak = ('level = "HSM"\n', 'level = "TPM"\n', 'level = "SOFTWARE"\n')
    with_key(reopen(f"{strict}{ENABLED}{acme}{hsm}{spare}{tpm}", after=TYPE)).close()
    away["acme"] = unplugged()
    clave = reopen(f"{strict}{ENABLED}{acme}{hsm}{spare}{weak}", after=TYPE)
    with pytest.raises(PolicyViolation, match="the key requires TPM, and its backend shows SOFTWARE"):
        sign(clave)


def test_fr_024_a_message_that_crashes_the_plugin_leads_to_no_fallback(clave: Keyclave) -> None:
    """Whoever sends one would else decide which key signs."""
    (implementation,) = clave._backends.get("software").calls._relay.sign.get_hookimpls()

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    object.__setattr__(implementation, "function", crash)
    with pytest.raises(BackendUnavailable, match="the plugin raised ZeroDivisionError"):
        sign(clave)
    assert clave.backends.fallbacks() == ()


@pytest.mark.parametrize("enabled", [ENABLED, ""], ids=["enabled", "by default"])
def test_fr_024_production_has_no_fallback_unless_it_is_enabled_by_name(
    acme: str, reopen: Reopen, away: Away, enabled: str
) -> None:
    spare = acme.replace("[backends.acme]", "[backends.spare]")
    production = 'type = "production"\nprecedence = ["acme", "software"]\n'
    clave = with_key(
        reopen(
            f'{production}{enabled}{acme}level = "HSM"\n{spare}level = "HSM"\n', without=TYPE, after="[environment]\n"
        )
    )
    away["acme"] = unplugged()
    if not enabled:
        refused(clave)
        assert len(clave.keys.versions("k")) == 1
        return
    assert sign(clave).backend_id == "spare"
    with pytest.raises(PolicyViolation, match="software"):
        clave.keys.create("other", "ECDSA_P256", backend="software")
