"""An instance of its own for each test: scratch directory, SQLite, software backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.detectors import aws, azure, gcp
from keyclave.services.detection import service as detection

from core.tests.configuring import settings_of
from tests.services.postgresql import Server, running


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "keyclave.toml"
    path.write_text(settings_of(tmp_path / "state"))
    return path


@pytest.fixture
def clave(config: Path) -> Iterator[Keyclave]:
    with keyclave.open(config, principal="tester") as opened:
        yield opened


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that shows no platform, wherever the tests run; their processes do not know it."""
    (tmp_path / "machine").mkdir()
    monkeypatch.setattr(detection, "_ROOT", tmp_path / "machine")
    clouds = (*aws._VARIABLES, *azure._VARIABLES, *gcp._VARIABLES)
    for name in ("KUBERNETES_SERVICE_HOST", *(name for group in clouds for name in group)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, started when the first test wants it."""
    with running() as started:
        yield started
