"""How a token is, as an application sees it: taken out and put in again, and with a call that hangs (FR-016)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import BackendUnavailable, DeadlineExceeded
from keyclave.models import AvailabilityStatus
from pkcs11_tests.proxy import Proxy
from pkcs11_tests.test_end_to_end import MESSAGE, configure

from tests.services.tokens import Token

pytestmark = [pytest.mark.needs("softhsm"), pytest.mark.needs("cc")]
AVAILABLE, DEGRADED, UNAVAILABLE = AvailabilityStatus
SOFTWARE = '[backends.software]\nplugin = "software"\n'


@pytest.fixture
def clave(proxied: Token, tmp_path: Path) -> Iterator[Keyclave]:
    """An instance with a key in the token, and one in software."""
    config = configure(tmp_path, proxied)
    config.write_text(config.read_text() + SOFTWARE)
    with keyclave.open(config, principal="tester") as opened:
        for backend in ("vault", "software"):
            opened.keys.create(backend, "ECDSA_P256", backend=backend)
        yield opened


def sign(clave: Keyclave) -> str:
    """Sign in the token, and return what went wrong."""
    try:
        clave.keys.sign("vault", MESSAGE)
    except (BackendUnavailable, DeadlineExceeded) as error:
        return error.message
    return ""


def status(clave: Keyclave) -> AvailabilityStatus:
    return clave.health.status()["vault"].availability_status


def test_fr_016_a_token_is_taken_out_and_put_in_again(clave: Keyclave, proxy: Proxy) -> None:
    found = []
    for out in (True, False):
        proxy.remove(out=out)
        for _ in range(2):
            clave.health.check()
            found.append(status(clave))
    assert found == [DEGRADED, UNAVAILABLE, UNAVAILABLE, AVAILABLE]
    assert clave.health.status()["software"].availability_status is AVAILABLE
    assert sign(clave) == ""


def test_fr_016_signatures_show_that_a_token_is_out_and_that_it_is_back(clave: Keyclave, proxy: Proxy) -> None:
    assert sign(clave) == ""
    clave.health.look("vault")
    proxy.remove()
    for expected in (DEGRADED, UNAVAILABLE):
        assert "has no token" in sign(clave)
        clave.health.look("vault")
        assert status(clave) is expected
    while "no call is made" not in sign(clave):
        pass
    assert clave.health.status()["vault"].circuit_opened_at is not None
    assert clave.keys.sign("software", MESSAGE).backend_id == "software"
    proxy.remove(out=False)
    back = time.monotonic()
    while sign(clave):
        assert time.monotonic() - back < 10
        time.sleep(0.1)
    for expected in (UNAVAILABLE, AVAILABLE):
        assert sign(clave) == ""
        clave.health.look("vault")
        assert status(clave) is expected
    assert clave.health.status()["vault"].circuit_opened_at is None


def test_fr_016_a_call_that_hangs_in_the_module_holds_up_no_check(clave: Keyclave, proxy: Proxy) -> None:
    assert sign(clave) == ""
    proxy.hang("Sign")
    hanging = threading.Thread(target=sign, args=(clave,))
    hanging.start()
    began = time.monotonic()
    results = clave.health.check()
    assert time.monotonic() - began < 4
    assert {name: result.status for name, result in results.items()} == {"vault": AVAILABLE, "software": AVAILABLE}
    proxy.reset()
    hanging.join(10)


def test_fr_016_a_check_that_hangs_in_the_module_ends_in_time(clave: Keyclave, proxy: Proxy) -> None:
    proxy.hang("GetTokenInfo")
    began = time.monotonic()
    results = clave.health.check()
    assert time.monotonic() - began < 20
    assert {name: result.status for name, result in results.items()} == {
        "vault": UNAVAILABLE,
        "software": AVAILABLE,
    }
    assert "no answer within 5 s" in results["vault"].detail
    proxy.reset()
    assert clave.health.check()["vault"].status is AVAILABLE
