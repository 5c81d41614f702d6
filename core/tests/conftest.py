"""An instance of its own for each test: scratch directory, SQLite, software backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave

from tests.services.postgresql import Server, running

CONFIG = """
[state]
directory = "{directory}"

[environment]
type = "local"

[environment.rotation]
validation_period = "0s"

[backends.software]
plugin = "software"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "keyclave.toml"
    path.write_text(CONFIG.format(directory=tmp_path / "state"))
    return path


@pytest.fixture
def clave(config: Path) -> Iterator[Keyclave]:
    with keyclave.open(config, principal="tester") as opened:
        yield opened


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, started when the first test wants it."""
    with running() as started:
        yield started
