"""Real distributions of the test plugins: built once a session, each installed into a directory of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hatchling.builders.wheel import WheelBuilder
from keyclave.backends.backend import Backend
from keyclave.backends.limits import TimeLimits
from keyclave.backends.manager import BackendInstance, BackendManager, CryptoFunctions, PluginPolicy
from keyclave.crypto.algorithms import bind_digest, load_public_key
from keyclave.crypto.encodings import p1363_to_der
from keyclave.crypto.key_checks import check_public_key
from keyclave.crypto.verification import bind_verifier
from keyclave.models import EnvironmentType
from keyclave.plugin import CreatedKey, CreateKeyRequest, KeyLabel

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = ROOT / "tests" / "plugins"
INSTANCE_ID = UUID(int=1)
CRYPTO = CryptoFunctions(
    load_public_key=load_public_key,
    bind_verifier=bind_verifier,
    bind_digest=bind_digest,
    p1363_to_der=p1363_to_der,
    check_public_key=check_public_key,
)


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The directory that each test plugin is installed into, by the name of its source tree."""
    base = tmp_path_factory.mktemp("plugins")
    projects = [path.parent for path in sorted(PLUGINS.glob("*/pyproject.toml"))]
    return {project.name: install_plugin(project, base) for project in projects}


def install_plugin(project: Path, base: Path) -> Path:
    """Build the plugin in a source tree, and return the directory below ``base`` that it is installed into."""
    wheel = next(WheelBuilder(str(project)).build(directory=str(base / "wheels"), versions=["standard"]))
    target = base / project.name
    installer = ["uv", "pip", "install"] if find_spec("uv") else ["pip", "install"]
    command = ["-m", *installer, "--quiet", "--no-deps", "--no-index", "--target", str(target), wheel]
    subprocess.run([sys.executable, *command], check=True)
    return target


@pytest.fixture
def installed(sites: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put test plugins on this process's path. Only those whose import does no harm here."""

    def install(*names: str) -> None:
        for name in reversed(names):
            monkeypatch.syspath_prepend(str(sites[name]))

    return install


@pytest.fixture(scope="session")
def run(sites: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run a script of this directory in a process that has the named test plugins installed; return its answer."""

    def run_script(script: str, *names: str, path: tuple[Path, ...] = (), **request: Any) -> Any:
        request["path"] = [*map(str, path), *(str(sites[name]) for name in names)]
        request["scratch"] = str(tmp_path_factory.mktemp("scratch"))
        done = subprocess.run(
            [sys.executable, "-W", "error", str(Path(__file__).with_name(script))],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run_script


@pytest.fixture
def manage(tmp_path: Path) -> Iterator[Callable[..., BackendManager]]:
    """Make managers of one backend for each plugin that is named; they are closed at the end."""
    managers: list[BackendManager] = []

    def make(
        *plugins: str, policy: PluginPolicy | None = None, limits: TimeLimits | None = None, **settings: Any
    ) -> BackendManager:
        instances = {
            name: BackendInstance(id=name, plugin=name, settings=settings, data_directory=tmp_path / name)
            for name in plugins
        }
        managers.append(
            BackendManager(
                instances,
                policy or PluginPolicy(),
                instance_id=INSTANCE_ID,
                environment_type=EnvironmentType.LOCAL,
                crypto=CRYPTO,
                limits=limits or TimeLimits(),
            )
        )
        return managers[-1]

    yield make
    for manager in managers:
        manager.close()


@pytest.fixture
def acme(installed: Callable[..., None], manage: Callable[..., BackendManager]) -> Callable[..., Backend]:
    """Open the healthy test plugin with settings of the test's choice."""

    def open_acme(**settings: Any) -> Backend:
        installed("acme")
        return manage("acme", **settings).get("acme")

    return open_acme


@pytest.fixture
def request_for() -> Callable[..., CreateKeyRequest]:
    """Make requests for new keys, each with a label of its own."""
    numbers = iter(range(1, 1000))

    def make(algorithm: str = "ECDSA_P256", *, exportable: bool = False) -> CreateKeyRequest:
        number = UUID(int=next(numbers))
        label = KeyLabel(instance_id=INSTANCE_ID, key_id=number, version=1, operation_id=number)
        return CreateKeyRequest(label=label, algorithm=algorithm, exportable=exportable)

    return make


@pytest.fixture
def created(request_for: Callable[..., CreateKeyRequest]) -> Callable[..., CreatedKey]:
    """Create a key in a backend."""
    return lambda backend, algorithm="ECDSA_P256": backend.create_key(request_for(algorithm))
