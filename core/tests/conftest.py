"""An instance of its own for each test: scratch directory, SQLite, software backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave

CONFIG = """
[state]
directory = "{directory}"

[environment]
type = "local"

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
