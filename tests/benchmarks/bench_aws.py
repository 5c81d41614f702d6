"""Sign with P-256 in AWS KMS: the time of this process beside bare boto3, and threads that wait for the service.

No service takes part in what is measured: it would be the slowest part by far. The client is given the answer to
``Sign`` at the point where it would send the request, at once or after five milliseconds, as a region nearby takes.
All else is the client's own: serialising the request, signing it, parsing the answer.
"""

from __future__ import annotations

import contextlib
import importlib.util
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
from unittest import mock

import keyclave
from keyclave.backends.crypto_functions import CryptoFunctions
from keyclave.backends.limits import TimeLimits
from keyclave.backends.opened import take
from keyclave.backends.retrying import Retries
from keyclave.crypto.algorithms import bind_digest, load_public_key
from keyclave.crypto.encodings import p1363_to_der
from keyclave.crypto.key_checks import check_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreateKeyRequest, KeyLabel
from measure import interleave, ratio, row

_MESSAGE = bytes(32)
_REGION = "us-east-1"
_NUMBER, _ROUNDS = 300, 25
_ROUND_TRIP, _SECONDS, _TURNS = 0.005, 1.0, 5
_SETTINGS = """
[environment]
type = "local"
[state]
directory = "{directory}"
[backends.aws]
plugin = "aws"
accept_simulator = true
endpoint = "{endpoint}"
region = "{region}"
credentials = "static"
access_key_id = "benchmark"
secret_access_key_file = "{secret}"
"""
_PROBE = """
import time
started = time.perf_counter()
import keyclave_aws.plugin
print(time.perf_counter() - started)
"""


class _Answer(NamedTuple):
    """What botocore takes for an answer of the service."""

    url: str
    content: bytes
    headers: dict[str, str]
    status_code: int = 200

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()


class _Service:
    """Stands for the service behind each client: what it once answered to ``Sign``, it answers again.

    Attributes:
        wait: the seconds that it takes.
    """

    def __init__(self) -> None:
        self.wait = 0.0
        self._clients: list[Any] = []

    def watching(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that connects, so that its clients are known."""

        def connected(*arguments: Any) -> Any:
            connection = connect(*arguments)
            self._clients.append(connection.client)
            return connection

        return connected

    def record(self, sign: Callable[[], object]) -> Any:
        """Let the newest client sign once; return the client, which is answered here from then on."""
        client, seen = self._clients[-1], []
        client.meta.events.register_first(
            "before-parse.kms.Sign", lambda response_dict, **_: seen.append(response_dict)
        )
        sign()
        answer = _Answer("", seen[-1]["body"], dict(seen[-1]["headers"]))

        def replay(**_: Any) -> _Answer:
            if self.wait:
                time.sleep(self.wait)
            return answer

        client.meta.events.register("before-send.kms.Sign", replay)
        return client


class _Bench(NamedTuple):
    """Ways to sign, and to look at a signature before it is released."""

    service: _Service
    bare: Callable[[], object]
    hook: Callable[[], object]
    guarded: Callable[[], object]
    audited: Callable[[], object]
    verify: Callable[[], object]


def run() -> list[dict[str, Any]]:
    """Measure, and return the rows; none where the plugin is not installed."""
    if importlib.util.find_spec("keyclave_aws") is None:
        return []
    with tempfile.TemporaryDirectory() as scratch, _opened(Path(scratch)) as bench:
        return [*_alone(bench), *_in_threads(bench), *_import()]


@contextlib.contextmanager
def _opened(scratch: Path) -> Iterator[_Bench]:
    """Make two keys in a KMS of the tests' own: one for the plugin by itself, one for an audited instance."""
    from keyclave_aws import connecting, opening  # noqa: PLC0415  only where it is installed

    from tests.services.kms.server import running  # noqa: PLC0415  as above

    secret, config = scratch / "secret", scratch / "keyclave.toml"
    secret.touch(0o600)
    secret.write_text("benchmark")
    simulated = _Service()
    watched = mock.patch.object(opening, "connect", simulated.watching(connecting.connect))
    with running() as service, watched:
        text = _SETTINGS.format(directory=scratch, endpoint=service.endpoint, region=_REGION, secret=secret)
        config.write_text(text)
        with keyclave.open(config) as clave:
            clave.keys.create("signer", "ECDSA_P256")
            simulated.record(lambda: clave.keys.sign("signer", _MESSAGE))
            yield _ways(simulated, service.endpoint, secret, scratch)._replace(
                audited=lambda: clave.keys.sign("signer", _MESSAGE)
            )


def _ways(simulated: _Service, endpoint: str, secret: Path, scratch: Path) -> _Bench:
    from keyclave_aws import plugin  # noqa: PLC0415  as above

    settings = plugin.settings_model()(
        endpoint=endpoint,
        region=_REGION,
        credentials="static",
        access_key_id="benchmark",
        secret_access_key_file=secret,
    )
    context = BackendContext(
        backend_id="aws",
        instance_id=uuid.uuid4(),
        environment_type=EnvironmentType.LOCAL,
        data_directory=scratch / "data",
        accept_simulator=True,
    )
    target: Any = plugin.open_backend(settings, context)
    crypto = CryptoFunctions(
        bind_digest=bind_digest,
        load_public_key=load_public_key,
        bind_verifier=bind_verifier,
        p1363_to_der=p1363_to_der,
        check_public_key=check_public_key,
    )
    backend = take(
        target, "aws", context, limits=TimeLimits(), crypto=crypto, on_fault=print, retries=Retries()
    ).backend
    label = KeyLabel(instance_id=context.instance_id, key_id=uuid.uuid4(), version=1, operation_id=uuid.uuid4())
    created = backend.create_key(CreateKeyRequest(label=label, algorithm="ECDSA_P256", exportable=False))
    reference, spki = created.reference, created.public_key
    assert spki is not None
    signature = target.sign(reference, _MESSAGE, "ECDSA_SHA256").signature
    client = simulated.record(lambda: target.sign(reference, _MESSAGE, "ECDSA_SHA256"))
    signer = backend.bind_signer(reference, spki, "ECDSA_SHA256", prehashed=True)
    verify = bind_verifier(load_public_key(spki), "ECDSA_SHA256", prehashed=True)
    return _Bench(
        service=simulated,
        bare=lambda: client.sign(
            KeyId=reference.uri, Message=_MESSAGE, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
        ),
        hook=lambda: target.sign(reference, _MESSAGE, "ECDSA_SHA256"),
        guarded=lambda: signer(_MESSAGE),
        audited=lambda: None,
        verify=lambda: verify(_MESSAGE, signature),
    )


def _alone(bench: _Bench) -> list[dict[str, Any]]:
    """Compare the time that the processor takes for one signature, in all threads."""
    cases = {"bare": bench.bare, "plugin": bench.hook, "Keyclave": bench.guarded, "verify": bench.verify}
    samples = interleave(cases, number=_NUMBER, rounds=_ROUNDS, clock=time.process_time)
    ours = ratio(samples, "plugin", "bare")
    return [
        row("AWS P-256 sign by the plugin / bare boto3", ours, "x", "<= 1.03", met=ours <= 1.03),
        row("AWS P-256 sign by Keyclave / bare boto3", ratio(samples, "Keyclave", "bare"), "x", "-", met=None),
        row("verifying it here / bare boto3", ratio(samples, "verify", "bare"), "x", "-", met=None),
        row("bare boto3, best", min(samples["bare"]) * 1e6, "us", "-", met=None),
    ]


def _in_threads(bench: _Bench) -> Iterator[dict[str, Any]]:
    """Compare signatures a second, audited and verified, with those of bare boto3, in turns."""
    bench.service.wait = _ROUND_TRIP
    for count in (1, 4, 16, 32):
        pairs = [(_rate(bench.audited, count), _rate(bench.bare, count)) for _ in range(_TURNS)]
        share = statistics.median(ours / bare for ours, bare in pairs)
        rate = statistics.median(ours for ours, _ in pairs)
        yield row(f"AWS audited sign / bare boto3, 5 ms, {count} threads", share, "x", ">= 0.90", met=share >= 0.9)
        yield row(f"AWS audited sign, 5 ms, {count} threads", rate, "1/s", "-", met=None)


def _rate(sign: Callable[[], object], count: int) -> float:
    """Return how often a number of threads signs in a second, all together."""
    done = [0] * count
    end = time.perf_counter() + _SECONDS

    def work(number: int) -> None:
        while time.perf_counter() < end:
            sign()
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)


def _import() -> Iterator[dict[str, Any]]:
    """Measure what the plugin adds to a process in which keyclave is imported."""
    command = [sys.executable, "-c", "import keyclave.plugin\n" + _PROBE]
    times = [float(subprocess.run(command, check=True, capture_output=True).stdout) * 1e3 for _ in range(15)]
    middle = statistics.median(times)
    yield row("import keyclave_aws.plugin", middle, "ms", "<= 5", met=middle <= 5)
