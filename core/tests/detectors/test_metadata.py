"""What metadata servers show: the shape of an answer decides, within the time that there is."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from keyclave.detectors import metadata

from core.tests.detectors.conftest import Detect, Serve
from tests.services import ministack
from tests.services.catalog import program
from tests.services.metadata import LIARS, SERVERS, TOKEN

CLOUDS = ("azure", "aws", "gcp")
EC2 = {"sys/class/dmi/id/sys_vendor": "Amazon EC2"}


@pytest.mark.parametrize("name", ["azure", "gcp"])
def test_fr_002_a_metadata_server_shows_its_own_cloud_and_no_other(detect: Detect, serve: Serve, name: str) -> None:
    server = serve(SERVERS[name])
    found = {cloud: detect(cloud, network=True) for cloud in CLOUDS}
    assert [cloud for cloud, evidence in found.items() if evidence] == [name]
    evidence = found[name]
    assert evidence is not None
    assert evidence.confidence > 0.9
    assert not any("identity" in path or "service-accounts" in path for _, path, _ in server.asked)
    assert not any("X-Forwarded-For" in headers for _, _, headers in server.asked)


@pytest.mark.parametrize("liar", LIARS)
def test_fr_002_a_liar_is_no_cloud_and_takes_no_longer_than_it_may(detect: Detect, serve: Serve, liar: str) -> None:
    serve(LIARS[liar])
    for cloud in CLOUDS:
        started = time.monotonic()
        assert detect(cloud, network=True, timeout=0.5) is None
        assert time.monotonic() - started < 3  # what lies takes longer than that, and a busy machine less


@pytest.mark.parametrize("liar", LIARS)
def test_a_liar_does_not_hide_what_the_firmware_shows(detect: Detect, serve: Serve, liar: str) -> None:
    serve(LIARS[liar])
    found = detect("aws", files=EC2, network=True, timeout=0.5)
    assert found is not None
    assert found.observations[0] == "the firmware names Amazon EC2"
    assert "hop limit" in found.observations[1]
    assert found.confidence == 0.9


def test_nobody_there_is_no_cloud(detect: Detect, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [detect(cloud, network=True) for cloud in CLOUDS] == [None] * 3
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # those that wait to be accepted; the next one gets no answer at all
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        monkeypatch.setattr(metadata, "ADDRESS", full.getsockname())
        assert [detect(cloud, network=True, timeout=0.2) for cloud in CLOUDS] == [None] * 3


def test_a_redirect_is_not_followed_and_a_proxy_not_used(
    detect: Detect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = serve(SERVERS["gcp"])
    server = serve(
        lambda request: request.say(307, Location=f"http://127.0.0.1:{elsewhere.server_address[1]}{request.path}")
    )
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{elsewhere.server_address[1]}")
    assert [detect(cloud, network=True) for cloud in CLOUDS] == [None] * 3
    assert server.asked
    assert elsewhere.asked == []


def test_without_the_network_nobody_is_asked(detect: Detect, serve: Serve) -> None:
    server = serve(SERVERS["azure"])
    assert [detect(cloud) for cloud in CLOUDS] == [None] * 3
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "said"), [("aws-without-token", "only without a token"), ("aws-hop-limit", "wants a token")]
)
def test_fr_002_an_instance_whose_token_does_not_get_here_is_reported_as_such(
    detect: Detect, serve: Serve, name: str, said: str
) -> None:
    serve(SERVERS[name])
    found = detect("aws", network=True, timeout=5.0)
    assert found is not None
    (observation,) = found.observations
    assert said in observation
    assert "HttpPutResponseHopLimit" in observation
    assert found.confidence < 0.9


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


@pytest.mark.needs("ec2-metadata-mock")
@pytest.mark.parametrize("options", [["-I"], []], ids=["IMDSv2 only", "both versions"])
def test_fr_002_the_emulator_of_ec2_is_asked_with_a_token(
    detect: Detect, port: int, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program("ec2-metadata-mock", "ec2-metadata-mock")
    assert path is not None
    command = [path, *options, "-n", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, env={"HOME": str(tmp_path)}, stdout=subprocess.DEVNULL) as mock:
        try:
            _await(port)
            monkeypatch.setattr(metadata, "ADDRESS", ("127.0.0.1", port))
            found = {cloud: detect(cloud, network=True) for cloud in CLOUDS}
        finally:
            mock.terminate()
    assert [cloud for cloud, evidence in found.items() if evidence] == ["aws"]
    assert found["aws"] is not None
    assert found["aws"].observations == ("the instance metadata service of EC2 answers, with a token",)


@pytest.mark.needs("ministack")
def test_fr_002_ministack_is_taken_for_ec2(detect: Detect, monkeypatch: pytest.MonkeyPatch) -> None:
    with ministack.running() as server:
        monkeypatch.setattr(metadata, "ADDRESS", ("127.0.0.1", server.port))
        found = {cloud: detect(cloud, network=True) for cloud in CLOUDS}
    assert [cloud for cloud, evidence in found.items() if evidence] == ["aws"]


WITNESS = """
import os, sys
from google.auth import compute_engine
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
from azure.identity import ManagedIdentityCredential
if sys.argv[1] == "gcp":
    assert _metadata.ping(Request())
    credentials = compute_engine.Credentials()
    credentials.refresh(Request())
    print(credentials.token)
else:
    print(ManagedIdentityCredential().get_token("https://vault.azure.net/.default").token)
"""


@pytest.mark.needs("cloud-clients")
@pytest.mark.parametrize("name", ["azure", "gcp"])
def test_the_clouds_own_clients_get_a_token_from_the_servers_of_these_tests(serve: Serve, name: str) -> None:
    server = serve(SERVERS[name])
    host, port = server.server_address
    python = program("cloud-clients", "python")
    assert python is not None
    environment = {
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{host}:{port}",
        "GCE_METADATA_HOST": f"{host}:{port}",
        "GCE_METADATA_IP": f"{host}:{port}",
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        [python, "-c", WITNESS, name], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == TOKEN, done.stderr
    assert server.asked


def _await(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")
