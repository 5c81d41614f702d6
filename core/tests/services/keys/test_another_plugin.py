"""A backend that another plugin serves than the one that made its keys: nothing that it says is about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import BackendUnavailable, OutcomeUnknown

from core.tests.services.conftest import Reopen
from core.tests.services.failing import failing
from core.tests.services.long_ago import long_ago

SOFTWARE = '[backends.software]\nplugin = "software"\n'
SWAPPED = '[backends.software]\nplugin = "acme"\n'
REFUSED = "made by plugin 'software', and the settings let 'acme' serve this backend"
USES: dict[str, Callable[[Keyclave], object]] = {
    "sign": lambda clave: clave.keys.sign("s", b"message"),
    "encrypt": lambda clave: clave.keys.encrypt("e", b"message"),
    "rotate": lambda clave: clave.rotation.rotate("s"),
    "destroy": lambda clave: clave.keys.destroy("old", 1),
    "look for it": lambda clave: clave.backends.has_key("s"),
}


@pytest.fixture
def swapped(clave: Keyclave, acme: str, reopen: Reopen) -> Keyclave:
    """An instance whose keys were made by `software`, in a backend that `acme` serves by now."""
    clave.keys.create("s", "ED25519")
    clave.keys.create("e", "AES_256")
    with long_ago():
        clave.keys.create("old", "ED25519")
        clave.rotation.rotate("old")
    clave.close()
    return reopen(SWAPPED, without=SOFTWARE)


@pytest.mark.parametrize("use", USES)
def test_fr_021_a_key_is_not_looked_for_in_a_backend_of_another_plugin(swapped: Keyclave, use: str) -> None:
    with pytest.raises(BackendUnavailable, match=REFUSED) as raised:
        USES[use](swapped)
    assert not raised.value.retryable
    assert "[backends.software] name the plugin 'software' again" in raised.value.next_step
    assert swapped.recovery.open_intents() == ()
    assert [version.destroyed_at for version in swapped.keys.versions("old")] == [None, None]
    assert len(swapped.keys.versions("s")) == 1


def test_fr_021_a_revocation_is_not_done_before_the_backend_of_the_key_was_told(
    swapped: Keyclave, config: Path
) -> None:
    with pytest.raises(OutcomeUnknown, match=REFUSED):
        swapped.keys.revoke("s", "lost")
    assert swapped.recovery.run() == ()
    swapped.close()
    with keyclave.open(config) as back:
        assert [intent.kind for intent in back.recovered] == ["revoke"]
        assert back.recovery.open_intents() == ()


def test_fr_021_what_an_interrupted_creation_left_is_not_looked_for_in_a_backend_of_another_plugin(
    clave: Keyclave, acme: str, reopen: Reopen, config: Path
) -> None:
    lost = OutcomeUnknown("the answer is lost")
    with failing(clave, "create_key", lost, afterwards=True), pytest.raises(OutcomeUnknown):
        clave.keys.create("k", "ED25519")
    clave.close()
    swapped = reopen(SWAPPED, without=SOFTWARE)
    assert swapped.recovered == ()
    assert [intent.kind for intent in swapped.recovery.open_intents()] == ["create"]
    swapped.close()
    with keyclave.open(config) as back:
        assert [intent.kind for intent in back.recovered] == ["create"]
        assert list(back._backends.get("software").list_keys()) == []
