"""Backends on MiniStack, an emulator of AWS, and on the KMS of the tests, which shows what emulators do not.

All tests of a process share one emulator; each has an instance of its own, and sees no key of another one. The KMS of
the tests is new for each test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aws_tests.backends import REGION, NewLabel, Open
from botocore.loaders import JSONFileLoader, Loader
from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, KeyLabel
from keyclave_aws import plugin
from keyclave_aws.backend import AwsBackend

from tests.services import ministack as emulator
from tests.services import softhsm
from tests.services.kms import server as own
from tests.services.tokens import Token


@pytest.fixture(autouse=True)
def no_aws_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no test find credentials or settings of the person who runs it, or ask for metadata of this machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True, scope="session")
def sdk_data_is_parsed_once() -> Iterator[None]:
    """Keep the SDK's own data: it parses it anew for every client, which is half of the time of these tests."""
    original = JSONFileLoader.load_file
    once = cache(partial(original, JSONFileLoader()))

    def load_file(loader: JSONFileLoader, path: str) -> Any:
        return once(path) if Path(path).is_relative_to(Loader.BUILTIN_DATA_PATH) else original(loader, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulator.Server]:
    with emulator.running() as server:
        yield server


@pytest.fixture
def ministack(ministack_server: emulator.Server) -> str:
    """The URL of the emulator."""
    return ministack_server.endpoint


@pytest.fixture
def own_kms() -> Iterator[own.Running]:
    """The KMS of the tests."""
    with own.running() as running:
        yield running


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("secret\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def softhsm_token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """A token beside the cloud, for keys that move."""
    return softhsm.make_tokens(tmp_path_factory.mktemp("softhsm"), "aws")["aws"]


@pytest.fixture
def instance_id() -> UUID:
    return uuid4()


@pytest.fixture
def open_backend(instance_id: UUID, tmp_path: Path, secret_file: Path) -> Iterator[Open]:
    """Open a backend again and again, as another process would."""
    opened: list[AwsBackend] = []

    def open_with(endpoint: str, /, *, context: dict[str, Any] | None = None, **settings: Any) -> AwsBackend:
        about: dict[str, Any] = {
            "backend_id": "kms",
            "instance_id": instance_id,
            "environment_type": EnvironmentType.LOCAL,
            "data_directory": tmp_path / "data",
            "accept_simulator": True,
        }
        static = {"credentials": "static", "access_key_id": "AKIDTEST", "secret_access_key_file": secret_file}
        given = {"region": REGION, "endpoint": endpoint, **({} if "credentials" in settings else static), **settings}
        backend = plugin.open_backend(plugin.settings_model()(**given), BackendContext(**(about | (context or {}))))
        assert isinstance(backend, AwsBackend)
        opened.append(backend)
        return backend

    yield open_with
    for backend in opened:
        backend.close()


@pytest.fixture
def on_ministack(open_backend: Open, ministack: str) -> AwsBackend:
    return open_backend(ministack)


@pytest.fixture
def on_own_kms(open_backend: Open, own_kms: own.Running) -> AwsBackend:
    return open_backend(own_kms.endpoint)


@pytest.fixture
def new_label(instance_id: UUID) -> NewLabel:
    return lambda: KeyLabel(instance_id=instance_id, key_id=uuid4(), version=1, operation_id=uuid4())
