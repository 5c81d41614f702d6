"""The level of a token that shows less than it did, while an application has it open (FR-014).

A module of the tests stands before SoftHSM: with other names and flags it shows an HSM, as far as PKCS#11 can. Then
it shows what it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.backends import rereading
from keyclave.errors import PolicyViolation
from keyclave.models import SecurityLevel
from pkcs11.constants import MechanismFlag, SlotFlag
from pkcs11_tests.proxy import Proxy
from pkcs11_tests.test_end_to_end import MESSAGE, configure

from tests.services.tokens import Token

pytestmark = [pytest.mark.needs("softhsm"), pytest.mark.needs("cc")]


@pytest.fixture
def clave(proxied: Token, proxy: Proxy, tmp_path: Path) -> Iterator[Keyclave]:
    """A production instance with keys in a token that shows an HSM."""
    proxy.names("Acme", "Vault 9", library="Acme Cryptoki")
    proxy.flags(slot=SlotFlag.HW_SLOT, mechanism=MechanismFlag.HW)
    config = configure(tmp_path, proxied)
    config.write_text(config.read_text().replace('type = "local"', 'type = "production"'))
    with keyclave.open(config, principal="tester") as opened:
        opened.keys.create("release", "ECDSA_P256")
        opened.keys.create("data", "AES_256")
        yield opened


@pytest.fixture
def an_hour_later(clave: Keyclave, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def go() -> None:
        monkeypatch.setattr(rereading, "monotonic", lambda: time.monotonic() + 3601)
        clave.keys._instance.epoch.invalidate()

    return go


def test_fr_014_a_token_that_is_still_an_hsm_is_still_used(
    clave: Keyclave, an_hour_later: Callable[[], None]
) -> None:
    clave.keys.sign("release", MESSAGE)
    an_hour_later()
    clave.keys.verify("release", MESSAGE, clave.keys.sign("release", MESSAGE).signature)
    assert clave.keys.get("release").security_properties.hsm_backed


@pytest.mark.parametrize("lost", ["its mechanisms", "its slot", "its names"])
def test_fr_014_a_token_that_is_no_hsm_any_more_is_not_used_in_production(
    clave: Keyclave, proxy: Proxy, an_hour_later: Callable[[], None], lost: str
) -> None:
    ciphertext = clave.keys.encrypt("data", MESSAGE)
    signature = clave.keys.sign("release", MESSAGE).signature
    proxy.reset()
    if lost != "its names":
        proxy.names("Acme", "Vault 9", library="Acme Cryptoki")
        proxy.flags(**({"slot": SlotFlag.HW_SLOT} if lost == "its mechanisms" else {"mechanism": MechanismFlag.HW}))
    else:
        proxy.flags(slot=SlotFlag.HW_SLOT, mechanism=MechanismFlag.HW)
    clave.keys.sign("release", MESSAGE)  # the hour is not over
    an_hour_later()
    for use in (
        lambda: clave.keys.sign("release", MESSAGE),
        lambda: clave.keys.encrypt("data", MESSAGE),
        lambda: clave.keys.decrypt("data", ciphertext),
        lambda: clave.rotation.rotate("release"),
        lambda: clave.keys.create("another", "ECDSA_P256"),
    ):
        with pytest.raises(PolicyViolation, match="SOFTWARE"):
            use()
    assert clave.backends.show("vault").security_level is SecurityLevel.SOFTWARE
    assert clave.keys.verify("release", MESSAGE, signature) == 1
