"""Which backend takes a new key: by precedence, never below the required level, and with its reasons."""

from __future__ import annotations

from datetime import timedelta

import pytest
from keyclave.backends.calls import HookCalls
from keyclave.errors import (
    BackendUnavailable,
    CapabilityUnsupported,
    ConfigurationError,
    PolicyViolation,
)
from keyclave.models import AvailabilityStatus
from keyclave.models.environment import DEFAULT_PRECEDENCE
from keyclave.services.backends import selection

from core.tests.services.clock import Clock
from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing

LOCAL = 'type = "local"'
PRECEDENCE = '[environment]\ntype = "local"\nprecedence = ["acme", "software"]\n'
WITHOUT = '[environment]\ntype = "local"\n'
BROKEN = '[backends.hsm]\nplugin = "no-such-plugin"\n'


def reasons(reopened: object, algorithm: str | None = None) -> dict[str, str]:
    selection = reopened.backends.select(algorithm)  # type: ignore[attr-defined]
    return {c.backend_id: c.reason for c in selection.candidates}


def test_the_first_of_the_precedence_takes_the_key(acme: str, reopen: Reopen) -> None:
    clave = reopen(PRECEDENCE + acme, without=WITHOUT)
    selection = clave.backends.select("ED25519")
    assert (selection.chosen, [c.backend_id for c in selection.candidates]) == ("acme", ["acme", "software"])
    assert clave.keys.create("k", "ED25519").backend_id == "acme"


def test_fr_021_a_plugin_that_the_precedence_names_twice_is_one_candidate(reopen: Reopen) -> None:
    twice = '[environment]\ntype = "local"\nprecedence = ["software", "software"]\n'
    clave = reopen(twice + "[environment.fallback]\nenabled = true\n", without=WITHOUT)
    assert [c.backend_id for c in clave.backends.select().candidates] == ["software"]
    clave.keys.create("k", "ED25519")
    assert [v.status.value for v in clave.keys.versions("k")] == ["ACTIVE"]  # nothing can stand by for itself


def test_what_the_first_does_not_have_the_next_takes(
    acme: str, reopen: Reopen, caplog: pytest.LogCaptureFixture
) -> None:
    clave = reopen(PRECEDENCE + acme, without=WITHOUT)
    assert reasons(clave, "RSA_2048")["acme"] == "it has no RSA_2048"
    assert clave.keys.create("k", "RSA_2048").backend_id == "software"
    assert "a new key goes" not in caplog.text  # that is so every time
    with pytest.raises(CapabilityUnsupported, match="it has no RSA_2048"):
        clave.keys.create("named", "RSA_2048", backend="acme")
    assert [handle.name for handle in clave.keys.list()] == ["k"]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("binds_aad = false", "its AES_256 keys do not bind associated data"),
        ("max_plaintext = 31", "its AES_256 keys encrypt at most 31 bytes, less than a data key"),
    ],
)
def test_a_key_that_its_backend_could_not_use_is_not_made(
    acme: str, reopen: Reopen, setting: str, reason: str
) -> None:
    clave = reopen(f"{PRECEDENCE}{acme}{setting}\n", without=WITHOUT)
    assert reasons(clave, "AES_256")["acme"] == reason
    with pytest.raises(CapabilityUnsupported, match=reason):
        clave.keys.create("named", "AES_256", backend="acme")
    assert clave.keys.create("k", "AES_256").backend_id == "software"
    assert clave.keys.create("signs", "ED25519").backend_id == "acme"


@pytest.mark.parametrize(
    ("algorithm", "missing"), [("ED25519", "sign"), ("AES_256", "decrypt"), ("AES_256", "encrypt")]
)
def test_a_backend_without_the_hook_that_a_key_is_for_takes_no_such_key(
    acme: str, reopen: Reopen, monkeypatch: pytest.MonkeyPatch, algorithm: str, missing: str
) -> None:
    clave = reopen(PRECEDENCE + acme, without=WITHOUT)
    implements = HookCalls.implements
    monkeypatch.setattr(HookCalls, "implements", lambda self, hook: hook != missing and implements(self, hook))
    assert reasons(clave, algorithm)["acme"] == f"it has {algorithm}, but does not implement {missing}"
    with pytest.raises(CapabilityUnsupported, match=f"does not implement {missing}"):
        clave.keys.create("named", algorithm, backend="acme")


def test_a_backend_that_is_not_in_the_precedence_takes_keys_by_name_only(acme: str, reopen: Reopen) -> None:
    clave = reopen(acme)
    assert reasons(clave) == {
        "software": "available, allowed, and of the required level",
        "acme": "not in the precedence",
    }
    assert clave.keys.create("k", "ED25519", backend="acme").backend_id == "acme"


def test_fr_021_every_look_is_told_until_one_refuses(acme: str, reopen: Reopen) -> None:
    clave = reopen(
        PRECEDENCE.replace("type =", 'required_level = "TPM"\ntype =') + acme + 'level = "TPM"\n', without=WITHOUT
    )
    first, second = clave.backends.select("RSA_2048").candidates
    assert first.looks[0] == "acme is allowed in local"
    assert first.looks[1] == "it authenticates by PROCESS_IDENTITY"
    assert first.looks[2].startswith("its level is TPM: ")
    assert first.looks[3:] == ("it was not checked lately",)
    assert (first.accepted, first.reason) == (False, "it has no RSA_2048")
    assert second.looks[:2] == ("software is allowed in local", "it authenticates by PROCESS_IDENTITY")
    assert [look.partition(":")[0] for look in second.looks[2:]] == ["its level is SOFTWARE"]
    assert "TPM is required" in second.reason
    assert clave.backends.select("ED25519").candidates[0].looks[-1] == "it has ED25519"


@pytest.mark.parametrize("environment", ["local", "production"])
def test_fr_023_an_api_key_that_may_be_used_is_a_warning_that_is_told(
    acme: str, reopen: Reopen, environment: str
) -> None:
    strict = environment == "production"
    settings = f'{PRECEDENCE}{acme}level = "HSM"\nauthentication = "API_KEY"\n'.replace("local", environment)
    clave = reopen(settings + ("credential_named = true\n" if strict else ""), without=WITHOUT)
    with pytest.warns(UserWarning, match="FR-023: .* should be another one than API_KEY; acme uses API_KEY"):
        candidate = clave.backends.select("ED25519").candidates[0]
    assert candidate.accepted
    assert candidate.looks[1] == (
        "it authenticates by API_KEY, with a warning: that should be another one than API_KEY (FR-023)"
        + ("; the settings name its source" if strict else "")
    )


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_fr_023_an_api_key_that_was_only_found_takes_no_key_and_the_selection_says_why(
    acme: str, reopen: Reopen, environment: str
) -> None:
    settings = f'{PRECEDENCE}{acme}level = "HSM"\nauthentication = "API_KEY"\n'.replace("local", environment)
    clave = reopen(settings, without=WITHOUT)
    reason = reasons(clave)["acme"]
    assert "FR-023" in reason
    assert f"in {environment}, unless the settings name the source of the credential" in reason
    with pytest.raises(PolicyViolation, match=r"acme: .*FR-023"):
        clave.keys.create("k", "ED25519")
    with pytest.raises(PolicyViolation, match="FR-023"):
        clave.keys.create("k", "ED25519", backend="acme")


def test_fr_021_the_order_within_one_plugin_is_that_of_the_settings(reopen: Reopen) -> None:
    others = "".join(f'[backends.{name}]\nplugin = "software"\n' for name in ("zeta", "alpha"))
    clave = reopen(others)
    assert [c.backend_id for c in clave.backends.select().candidates] == ["software", "zeta", "alpha"]


def test_fr_021_the_default_order_is_hardware_before_software() -> None:
    assert DEFAULT_PRECEDENCE == ("azure", "aws", "gcp", "pkcs11-hsm", "k8s", "tpm", "os-keychain", "software")


def test_fr_016_a_backend_that_is_unavailable_takes_no_new_keys_until_it_is_back(
    acme: str, reopen: Reopen, caplog: pytest.LogCaptureFixture
) -> None:
    clave = reopen(PRECEDENCE + acme, without=WITHOUT)
    with failing(clave, "check_health", BackendUnavailable("unplugged"), backend="acme"):
        for _ in range(2):
            clave.backends.health()
    assert "it is UNAVAILABLE by its check at 20" in reasons(clave)["acme"]
    assert reasons(clave)["acme"].endswith("UTC: unplugged (FR-016)")
    assert "a new key goes" not in caplog.text
    assert clave.keys.create("k", "ED25519").backend_id == "software"
    assert "a new key goes to backend 'software', and not to 'acme', which comes before it: it is UN" in caplog.text
    for _ in range(2):
        clave.backends.health()
    caplog.clear()
    assert clave.keys.create("back", "ED25519").backend_id == "acme"
    assert "a new key goes" not in caplog.text


def test_an_old_check_refuses_no_backend(acme: str, reopen: Reopen, monkeypatch: pytest.MonkeyPatch) -> None:
    clave = reopen(PRECEDENCE + acme, without=WITHOUT)
    with failing(clave, "check_health", BackendUnavailable("unplugged"), backend="acme"):
        for _ in range(2):
            clave.backends.health()
    monkeypatch.setattr(selection, "_RECENT", timedelta(0))
    assert clave.keys.create("k", "ED25519").backend_id == "acme"


def test_fr_016_a_check_by_a_clock_that_was_ahead_refuses_no_backend(
    acme: str, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    clave = reopen(PRECEDENCE + acme, without=WITHOUT)
    Clock(monkeypatch).go(seconds=timedelta(days=365).total_seconds())
    with failing(clave, "check_health", BackendUnavailable("unplugged"), backend="acme"):
        for _ in range(2):
            clave.backends.health()
    assert clave.keys.create("k", "ED25519").backend_id == "acme"


def test_a_backend_that_is_not_allowed_is_not_even_opened(acme: str, reopen: Reopen) -> None:
    allowed = PRECEDENCE + 'allowed_backends = ["software"]\n'
    clave = reopen(allowed + acme + "no_such_setting = 1\n", without=WITHOUT)
    assert reasons(clave)["acme"] == "acme is not among the allowed backends"
    with pytest.raises(PolicyViolation, match="not among the allowed backends"):
        clave.keys.create("k", "ED25519", backend="acme")


def test_a_level_is_never_lowered(acme: str, reopen: Reopen) -> None:
    required = PRECEDENCE + 'required_level = "HSM"\n'
    clave = reopen(required + acme + 'level = "HSM"\n', without=WITHOUT)
    assert "SOFTWARE, and HSM is required (FR-014)" in reasons(clave)["software"]
    with pytest.raises(PolicyViolation, match="FR-014"):
        clave.keys.create("k", "ED25519", backend="software")
    with pytest.raises(PolicyViolation, match="acme: it has no RSA_2048; software: its level is SOFTWARE"):
        clave.keys.create("k", "RSA_2048")
    assert clave.keys.create("k", "ED25519").backend_id == "acme"


def test_a_backend_that_does_not_open_is_passed_over_with_its_reason(reopen: Reopen) -> None:
    precedence = PRECEDENCE.replace('"acme"', '"no-such-plugin"')
    clave = reopen(precedence + BROKEN, without=WITHOUT)
    assert "no-such-plugin" in reasons(clave)["hsm"]
    assert clave.keys.create("k", "ED25519").backend_id == "software"
    with pytest.raises(BackendUnavailable):
        clave.keys.create("named", "ED25519", backend="hsm")
    with pytest.raises(ConfigurationError, match="no backend 'missing' is configured") as caught:
        clave.keys.create("named", "ED25519", backend="missing")
    assert "software, hsm" in caught.value.next_step


def test_backends_that_open_are_listed_and_all_are_checked(reopen: Reopen) -> None:
    clave = reopen(BROKEN)
    assert [backend.backend_id for backend in clave.backends.list()] == ["software"]
    health = clave.backends.health()
    assert {name: result.status for name, result in health.items()} == {
        "software": AvailabilityStatus.AVAILABLE,
        "hsm": AvailabilityStatus.UNAVAILABLE,
    }
    assert "no-such-plugin" in (health["hsm"].detail or "")
    kinds = [(r.operation_type, r.status, r.backend_id) for r in clave.audit.records()]
    assert kinds == [("HEALTH_CHECK", "SUCCESS", "software"), ("HEALTH_CHECK", "FAILED", "hsm")]
    with pytest.raises(ConfigurationError, match="'missing' is configured"):
        clave.backends.show("missing")


def test_a_health_check_never_raises(reopen: Reopen) -> None:
    clave = reopen()
    with failing(clave, "check_health", BackendUnavailable("the device was unplugged")):
        (result,) = clave.backends.health().values()
    assert result.status is AvailabilityStatus.UNAVAILABLE
    assert "the device was unplugged" in (result.detail or "")
