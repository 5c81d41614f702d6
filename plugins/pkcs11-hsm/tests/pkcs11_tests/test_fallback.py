"""A token that is taken away while applications sign, and given back: standbys sign meanwhile (FR-024)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keyclave
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from keyclave import Keyclave, SignResult
from keyclave.errors import BackendUnavailable
from pkcs11_tests.proxy import Proxy
from pkcs11_tests.test_end_to_end import MESSAGE, configure

from tests.services.tokens import Token

pytestmark = [pytest.mark.needs("softhsm"), pytest.mark.needs("cc")]
SOFTWARE = '[backends.software]\nplugin = "software"\n'
FALLBACK = "[environment.fallback]\nenabled = true\n"
THREADS = 4
BACK_WITHIN = 10


@pytest.fixture
def clave(proxied: Token, tmp_path: Path) -> Iterator[Keyclave]:
    """An instance with a key in the token, and its standby in software."""
    config = configure(tmp_path, proxied)
    config.write_text(config.read_text() + SOFTWARE + FALLBACK)
    with keyclave.open(config, principal="tester") as opened:
        opened.keys.create("release", "ECDSA_P256")
        yield opened


class Traffic:
    """Threads that sign all the time; every signature is verified with the public keys of the beginning."""

    def __init__(self, clave: Keyclave) -> None:
        self.results: list[SignResult] = []
        self.errors: list[BaseException] = []
        self._clave = clave
        self._published = {
            v.version: clave.keys.public_key("release", v.version) for v in clave.keys.versions("release")
        }
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._sign) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)

    def wait_for(self, condition: Callable[[SignResult], bool], *, within: float = BACK_WITHIN) -> None:
        """Wait for the next signature that is like this."""
        begun, seen = time.monotonic(), len(self.results)
        while not any(map(condition, self.results[seen:])):
            assert time.monotonic() - begun < within, "no such signature came"
            assert not self.errors
            time.sleep(0.01)

    def _sign(self) -> None:
        try:
            while not self._over.is_set():
                result = self._clave.keys.sign("release", MESSAGE)
                self._published[result.version].verify(result.signature, MESSAGE, ECDSA(SHA256()))
                self.results.append(result)
        except BaseException as error:
            self.errors.append(error)


def test_fr_024_a_token_is_taken_away_and_given_back_under_traffic(
    clave: Keyclave, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    traffic = Traffic(clave)
    with caplog.at_level(logging.INFO, "keyclave.fallback"), traffic.running():
        traffic.wait_for(lambda result: not result.fallback)
        proxy.remove()
        traffic.wait_for(lambda result: result.fallback)
        time.sleep(1)
        proxy.remove(out=False)
        traffic.wait_for(lambda result: not result.fallback)
    assert traffic.errors == []
    assert {(r.fallback, r.version, r.backend_id) for r in traffic.results} == {
        (False, 1, "vault"),
        (True, 2, "software"),
    }
    print(len(traffic.results), caplog.text)


def test_fr_024_a_token_that_hangs_costs_one_call_its_time_limit(clave: Keyclave, proxy: Proxy) -> None:
    traffic = Traffic(clave)
    with traffic.running():
        traffic.wait_for(lambda result: not result.fallback)
        proxy.hang("Sign")
        t = time.monotonic()
        try:
            traffic.wait_for(lambda result: result.fallback, within=40)
        finally:
            print(time.monotonic() - t, len(traffic.results))
            proxy.reset()
        traffic.wait_for(lambda result: not result.fallback)
    assert traffic.errors == []
