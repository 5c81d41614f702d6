"""The PIN is tried once, and never where a wrong one would lock the token."""

from __future__ import annotations

from pathlib import Path

import pytest
from keyclave.errors import AuthenticationFailed, BackendUnavailable, ConfigurationError, InvalidArgument
from keyclave.models import AvailabilityStatus
from keyclave_pkcs11_hsm.backend import Pkcs11Backend
from keyclave_pkcs11_hsm.pins import RefusedPins
from keyclave_pkcs11_hsm.settings import Pkcs11Settings
from keyclave_pkcs11_hsm.tokens import find_token
from pkcs11_tests.backends import NewLabel, Open, create
from pkcs11_tests.proxy import EVERY_CALL, Proxy

from tests.services.tokens import PIN, Token, write_private

pytestmark = [pytest.mark.needs("softhsm"), pytest.mark.needs("cc")]

FINAL_TRY, LOCKED, TO_BE_CHANGED = 0x20000, 0x40000, 0x80000
SLOT_ID_INVALID, ALREADY_LOGGED_IN = 0x3, 0x100


def test_a_wrong_pin_is_tried_once_in_the_life_of_the_process(
    open_backend: Open, proxied: Token, proxy: Proxy, tmp_path: Path
) -> None:
    wrong = write_private(tmp_path / "wrong", "000000")
    for _ in range(3):
        with pytest.raises(AuthenticationFailed) as caught:
            open_backend(proxied, pin_file=wrong)
        assert "000000" not in str(caught.value)
        assert not caught.value.retryable
    assert proxy.calls("Login") == 1
    open_backend(proxied)
    assert proxy.calls("Login") == 2


def test_no_pin_is_tried_when_one_try_is_left(open_backend: Open, proxied: Token, proxy: Proxy) -> None:
    proxy.flags(token=FINAL_TRY)
    with pytest.raises(AuthenticationFailed, match="one more wrong PIN would lock") as caught:
        open_backend(proxied)
    assert caught.value.attempts_left == 1
    proxy.flags(token=LOCKED)
    with pytest.raises(AuthenticationFailed, match="locked") as caught:
        open_backend(proxied)
    assert caught.value.attempts_left == 0
    assert proxy.calls("Login") == 0


def test_a_pin_that_the_token_refuses_after_a_loss_is_not_tried_again(
    open_backend: Open, proxied: Token, proxy: Proxy, new_label: NewLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyclave_pkcs11_hsm.connection._refused_pins", RefusedPins())
    backend = open_backend(proxied)
    key = create(backend, new_label(), "ECDSA_P256").reference
    proxy.reset()
    proxy.answer("Login", 0xA0, times=EVERY_CALL)
    proxy.answer("SignInit", 0x32)
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            backend.sign(key=key, data=bytes(32), scheme="ECDSA_SHA256")
    assert proxy.calls("Login") == 1


@pytest.mark.parametrize(
    ("ckr", "message"), [(0xA1, "invalid"), (0xA2, "too short"), (0xA3, "expired"), (0xA4, "locked")]
)
def test_every_refusal_is_said(
    open_backend: Open, behind_proxy: tuple[Proxy, Token], tmp_path: Path, ckr: int, message: str
) -> None:
    proxy, proxied = behind_proxy
    proxy.answer("Login", ckr)
    with pytest.raises(AuthenticationFailed, match=message):
        open_backend(proxied, pin_file=write_private(tmp_path / "pin", f"refused-{ckr}"))


def test_another_refusal_of_the_login_is_no_wrong_pin(open_backend: Open, proxied: Token, proxy: Proxy) -> None:
    proxy.answer("Login", 0x102)
    with pytest.raises(ConfigurationError, match="no user PIN yet"):
        open_backend(proxied)
    proxy.answer("Login", 0x05)
    with pytest.raises(BackendUnavailable, match="CKR_GENERAL_ERROR"):
        open_backend(proxied)
    assert proxy.calls("Login") == 2  # no second try of the PIN in one call
    open_backend(proxied)


def test_a_pin_goes_to_its_own_token_alone(open_backend: Open, proxied: Token, proxy: Proxy) -> None:
    target = open_backend(proxied)._target
    module, pin = target.module, target.pin
    assert pin is not None
    token = find_token(module, proxied.label, None)
    before = proxy.calls("Login")
    for label, serial in ((token.label, b"another"), ("another", token.serial)):
        assert module.functions.login(token.slot.slot_id, label, serial, pin) == SLOT_ID_INVALID
    assert proxy.calls("Login") == before
    assert module.functions.login(token.slot.slot_id, token.label, token.serial, pin) == ALREADY_LOGGED_IN


def test_a_pin_comes_from_a_variable(
    open_backend: Open, softhsm_token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HSM_PIN", PIN)
    assert isinstance(open_backend(softhsm_token, pin_file=None, pin_variable="HSM_PIN"), Pkcs11Backend)
    monkeypatch.delenv("HSM_PIN")
    with pytest.raises(ConfigurationError, match="HSM_PIN holds no PIN"):
        open_backend(softhsm_token, pin_file=None, pin_variable="HSM_PIN")


def test_a_pin_file_must_be_private_and_hold_one(open_backend: Open, softhsm_token: Token, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_backend(softhsm_token, pin_file=tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="holds no PIN"):
        open_backend(softhsm_token, pin_file=write_private(tmp_path / "empty", "\n"))
    public = write_private(tmp_path / "public", PIN)
    public.chmod(0o644)
    with pytest.raises(ConfigurationError, match="lets group or others in"):
        open_backend(softhsm_token, pin_file=public)


def test_a_token_that_wants_a_pin_is_not_opened_without(open_backend: Open, softhsm_token: Token) -> None:
    with pytest.raises(ConfigurationError, match="wants a PIN"):
        open_backend(softhsm_token, pin_file=None)


def test_two_sources_exclude_each_other(softhsm_token: Token) -> None:
    with pytest.raises((InvalidArgument, ValueError), match="exclude each other"):
        Pkcs11Settings(
            module=softhsm_token.module, token="t", pin_file=softhsm_token.pin_file, pin_variable="HSM_PIN"
        )


def test_health_warns_of_the_pin(open_backend: Open, proxied: Token, proxy: Proxy) -> None:
    backend = open_backend(proxied)
    assert backend.check_health().status is AvailabilityStatus.AVAILABLE
    proxy.flags(token=FINAL_TRY | TO_BE_CHANGED)
    report = backend.check_health()
    assert report.status is AvailabilityStatus.DEGRADED
    assert report.detail == "one more wrong PIN would lock the token, the PIN is to be changed"
    proxy.answer("GetTokenInfo", 0x05, times=EVERY_CALL)
    assert backend.check_health().status is AvailabilityStatus.UNAVAILABLE
    assert proxy.calls("Login") == 1
