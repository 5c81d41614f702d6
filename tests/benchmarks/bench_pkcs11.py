"""Sign with P-256 on SoftHSM2: against a C loop, with two threads, and against securesystemslib's HSMSigner."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreatedKey, CreateKeyRequest, KeyLabel
from measure import row

from tests.services import softhsm
from tests.services.catalog import problem
from tests.services.tokens import PIN, Token

_HERE = Path(__file__).parent
_NUMBER, _ROUNDS, _PEER_NUMBER = 2_000, 25, 50


class _Bench(NamedTuple):
    token: Token
    backend: Any
    created: CreatedKey
    identifier: str
    scratch: Path


def run() -> list[dict[str, Any]]:
    """Measure, and return the rows; none where SoftHSM2 or a compiler is missing."""
    if any(map(problem, ("softhsm", "cc"))):
        return []
    with tempfile.TemporaryDirectory() as scratch, _opened(Path(scratch)) as bench:
        return [*_against_c(bench), *_against_peer(bench), *_threads(bench)]


@contextlib.contextmanager
def _opened(scratch: Path) -> Iterator[_Bench]:
    from keyclave_pkcs11_hsm import plugin  # noqa: PLC0415  only where there is a token
    from keyclave_pkcs11_hsm.places import place_of  # noqa: PLC0415

    token = softhsm.make_tokens(scratch, "bench")["bench"]
    os.environ.update(token.environment)
    context = BackendContext(
        backend_id="hsm",
        instance_id=uuid.uuid4(),
        environment_type=EnvironmentType.LOCAL,
        data_directory=scratch / "data",
    )
    settings = plugin.settings_model()(module=token.module, token=token.label, pin_file=token.pin_file)
    backend: Any = plugin.open_backend(settings, context)
    label = KeyLabel(instance_id=context.instance_id, key_id=uuid.uuid4(), version=1, operation_id=uuid.uuid4())
    while place_of(label).identifier[0] == 0:  # the peer takes the CKA_ID as a number
        label = KeyLabel(instance_id=context.instance_id, key_id=uuid.uuid4(), version=1, operation_id=uuid.uuid4())
    created = backend.create_key(CreateKeyRequest(label=label, algorithm="ECDSA_P256", exportable=False))
    try:
        yield _Bench(token, backend, created, place_of(label).identifier.hex(), scratch)
    finally:
        backend.close()


def _against_c(bench: _Bench) -> list[dict[str, Any]]:
    loop = bench.scratch / "loop"
    source = _HERE / "pkcs11_loop.c"
    subprocess.run(["cc", "-O2", "-I/usr/include/p11-kit-1", "-o", loop, source, "-ldl"], check=True)
    arguments = [loop, bench.token.module, bench.token.label, PIN, bench.identifier]
    with _worker(arguments) as c_loop:
        ours, floor = _interleave(lambda number: _sign(bench, number), c_loop, _NUMBER)
    ratio = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
    return [
        row("PKCS#11 P-256 sign / C loop", ratio, "x", "<= 1.25", met=ratio <= 1.25),
        row("PKCS#11 P-256 sign, best", min(ours) * 1e6, "us", "-", met=None),
        row("PKCS#11 P-256 C loop, best", min(floor) * 1e6, "us", "-", met=None),
    ]


def _against_peer(bench: _Bench) -> list[dict[str, Any]]:
    """Compare with the peer; no rows where it is not installed."""
    if importlib.util.find_spec("securesystemslib") is None:
        return []
    assert bench.created.public_key is not None
    script = [sys.executable, _HERE / "pkcs11_peer.py"]
    arguments = [*script, bench.token.label, PIN, bench.identifier, bench.created.public_key.hex()]
    with _worker(arguments, PYKCS11LIB=str(bench.token.module)) as peer:
        ours, theirs = _interleave(lambda number: _sign(bench, number), peer, _PEER_NUMBER)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return [row("securesystemslib HSMSigner / PKCS#11 P-256 sign", ratio, "x", ">= 20", met=ratio >= 20)]


def _threads(bench: _Bench) -> list[dict[str, Any]]:
    """Compare two threads with one, in turns: the best of one with the best of the other."""
    ones, twos = [], []
    for _ in range(_ROUNDS):
        ones.append(_NUMBER / _in_threads(bench, 1))
        twos.append(2 * _NUMBER / _in_threads(bench, 2))
    ratio = max(twos) / max(ones)
    middle = statistics.median(b / a for a, b in zip(ones, twos, strict=True))
    return [
        row("PKCS#11 P-256 sign, two threads / one", ratio, "x", ">= 1.6", met=ratio >= 1.6),
        row("PKCS#11 P-256 sign, two threads / one, median", middle, "x", "-", met=None),
        row("PKCS#11 P-256 sign, two threads, best", max(twos), "1/s", "-", met=None),
    ]


def _in_threads(bench: _Bench, count: int) -> float:
    threads = [threading.Thread(target=_sign, args=(bench, _NUMBER)) for _ in range(count)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _sign(bench: _Bench, number: int) -> float:
    sign, key, digest = bench.backend.sign, bench.created.reference, bytes(32)
    started = time.perf_counter()
    for _ in range(number):
        sign(key, digest, "ECDSA_SHA256")
    return time.perf_counter() - started


def _interleave(
    ours: Callable[[int], float], other: Callable[[int], float], number: int
) -> tuple[list[float], list[float]]:
    """Return the seconds per call of both, a value for each round."""
    ours(number), other(number)
    rounds = [(ours(number) / number, other(number) / number) for _ in range(_ROUNDS)]
    return [one for one, _ in rounds], [two for _, two in rounds]


@contextlib.contextmanager
def _worker(arguments: list[Any], **environment: str) -> Iterator[Callable[[int], float]]:
    """Start a program that answers a number of calls with the seconds that they took."""
    with subprocess.Popen(
        list(map(str, arguments)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        to, answers = program.stdin, program.stdout

        def call(number: int) -> float:
            to.write(f"{number}\n")
            to.flush()
            return float(answers.readline())

        yield call
