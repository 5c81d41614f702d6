"""A token that is taken away while applications sign, and given back: standbys sign meanwhile (FR-024).

Every signature is verified by `cryptography` with the public keys that were published in the beginning.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keyclave
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from keyclave import Keyclave, SignResult
from keyclave.state.upgrade import upgrade
from pkcs11_tests.proxy import Proxy
from pkcs11_tests.test_end_to_end import MESSAGE, configure

from tests.services import postgresql, softhsm
from tests.services.tokens import Token

pytestmark = [
    pytest.mark.needs("softhsm"),
    # python-pkcs11 ends a search that a token which is away has cut off, and prints what the token says to that.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[4]
WORKER = Path(__file__).with_name("fallback_worker.py")
SETTINGS = '[backends.software]\nplugin = "software"\n[environment.fallback]\nenabled = true\n'
THREADS = 4
BACK_WITHIN = 20
LIMIT = 10


class Traffic:
    """Threads that sign all the time."""

    def __init__(self, clave: Keyclave) -> None:
        self.results: list[SignResult] = []
        self.errors: list[BaseException] = []
        self.slowest = 0.0
        self._clave = clave
        self._published = published(clave)
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
                thread.join(60)

    def wait_for(self, condition: Callable[[SignResult], bool]) -> None:
        """Wait for a signature that is like this, and was not there before."""
        begun, seen = time.monotonic(), len(self.results)
        while not any(map(condition, self.results[seen:])):
            assert self.errors == []
            assert time.monotonic() - begun < BACK_WITHIN, "no such signature came"
            time.sleep(0.01)

    def _sign(self) -> None:
        try:
            while not self._over.wait(0.005):
                result = self._clave.keys.sign("release", MESSAGE)
                self._published[result.version].verify(result.signature, MESSAGE, ECDSA(SHA256()))
                self.results.append(result)
        except BaseException as error:
            self.errors.append(error)


def published(clave: Keyclave) -> dict[int, Any]:
    return {v.version: clave.keys.public_key("release", v.version) for v in clave.keys.versions("release")}


def from_token(result: SignResult) -> bool:
    assert (result.version, result.backend_id) == ((2, "software") if result.fallback else (1, "vault"))
    return not result.fallback


def from_standby(result: SignResult) -> bool:
    return not from_token(result)


@pytest.fixture
def clave(proxied: Token, tmp_path: Path) -> Iterator[Keyclave]:
    """An instance with a key in the token, and its standby in software."""
    config = configure(tmp_path, proxied)
    config.write_text(config.read_text() + SETTINGS)
    with keyclave.open(config, principal="tester") as opened:
        opened.keys.create("release", "ECDSA_P256")
        yield opened


@pytest.mark.needs("cc")
def test_fr_024_a_token_is_taken_away_and_given_back_under_traffic(clave: Keyclave, proxy: Proxy) -> None:
    traffic = Traffic(clave)
    with traffic.running():
        for _ in range(2):
            traffic.wait_for(from_token)
            proxy.remove()
            traffic.wait_for(from_standby)
            proxy.remove(out=False)
        traffic.wait_for(from_token)
    assert traffic.errors == []
    recorded = [r.operation_type for r in clave.audit.records() if r.operation_type.endswith("_FALLBACK")]
    assert recorded[::2] == ["BEGIN_FALLBACK"] * (len(recorded) // 2)
    assert recorded[1::2] == ["END_FALLBACK"] * (len(recorded) // 2)
    assert len(recorded) >= 4
    assert clave.audit.verify().ok


@pytest.mark.needs("cc")
def test_fr_024_while_a_token_hangs_callers_get_signatures_of_the_standby_at_once(
    clave: Keyclave, proxy: Proxy
) -> None:
    """The first calls wait for their time limit, and one in five seconds after that; all others do not."""
    traffic, hangs = Traffic(clave), threading.Event()

    def let_every_call_hang() -> None:
        while not hangs.wait(0.001):
            proxy.hang("Sign")

    hanging = threading.Thread(target=let_every_call_hang)
    with traffic.running():
        traffic.wait_for(from_token)
        hanging.start()
        traffic.wait_for(from_standby)
        seen, begun = len(traffic.results), time.monotonic()
        while len(traffic.results) < seen + 100:
            assert time.monotonic() - begun < BACK_WITHIN
            time.sleep(0.01)
        hangs.set()
        hanging.join()
        proxy.reset()
        traffic.wait_for(from_token)
    assert traffic.errors == []


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def state(request: pytest.FixtureRequest) -> Iterator[str]:
    """The settings of a state that processes share."""
    if request.param == "sqlite":
        yield ""
        return
    with postgresql.running() as server:
        server.execute("CREATE DATABASE fallback")
        upgrade(server.url("fallback"))
        yield f'url = "{server.url("fallback")}"\n'


def start(config: Path, token: Token) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(WORKER.parents[1])]), **token.environment}
    return subprocess.Popen(
        [sys.executable, WORKER, config], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )


def answers(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


def test_fr_024_neither_a_restart_nor_another_process_makes_a_fallback_longer(tmp_path: Path, state: str) -> None:
    token = softhsm.make_tokens(tmp_path, "main")["main"]
    config = configure(tmp_path, token)
    config.write_text(
        config.read_text().replace("[environment]", f"{state}[environment]")
        + f'{SETTINGS}max_duration = "{LIMIT}s"\n'
    )
    command = [sys.executable, "-m", "keyclave", "--config", str(config), "keys", "create", "release"]
    environment = {**os.environ, **token.environment}
    subprocess.run([*command, "--algorithm", "ECDSA_P256"], env=environment, check=True, capture_output=True)
    (tmp_path / "tokens").rename(tmp_path / "away")

    processes = [start(config, token) for _ in range(2)]
    attempts = [answers(process) for process in processes]
    after = answers(start(config, token))
    (tmp_path / "away").rename(tmp_path / "tokens")
    back = answers(start(config, token))

    assert [list(attempt) for attempt in after] == [["at", "refused"]]
    assert [(attempt["version"], attempt["fallback"]) for attempt in back] == [(1, False)]
    with keyclave.open(config) as clave:
        begun, ended = (r.timestamp for r in clave.audit.records() if r.operation_type.endswith("_FALLBACK"))
        assert begun < ended
        keys = published(clave)
        for *signed, refused in attempts:
            assert signed
            assert "max_duration" in refused["refused"]
            assert all(attempt["at"] < begun.timestamp() + LIMIT for attempt in signed)
            assert refused["at"] >= begun.timestamp() + LIMIT - 1
            for attempt in signed:
                assert (attempt["version"], attempt["fallback"]) == (2, True)
                keys[2].verify(bytes.fromhex(attempt["signature"]), MESSAGE, ECDSA(SHA256()))
