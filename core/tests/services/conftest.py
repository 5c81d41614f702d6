"""Several instances on one state, with the software backend or with the test plugin `acme`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave

from core.tests.backends.conftest import installed, sites
from core.tests.databases import Place, on_server, sqlite_in

__all__ = ["Reopen", "acme", "installed", "place", "reopen", "sites"]

Reopen = Callable[..., Keyclave]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A scratch database of each kind."""
    if request.param == "sqlite":
        yield sqlite_in(tmp_path)
        return
    with on_server(request.getfixturevalue("server"), tmp_path) as made:
        yield made


@pytest.fixture
def reopen(config: Path) -> Iterator[Reopen]:
    """Open the state once more, with further lines of settings, at the end or after a line; close it at the end."""
    with ExitStack() as closing:

        def again(settings: str = "", *, without: str = "", after: str = "") -> Keyclave:
            path = config.with_name("other.toml")
            text = config.read_text().replace(without, "", 1)
            path.write_text(text.replace(after, after + settings, 1) if after else text + settings)
            return closing.enter_context(keyclave.open(path, principal="tester"))

        yield again


@pytest.fixture
def acme(installed: Callable[..., None]) -> str:
    """Install the test plugin, and return settings that add it as a backend."""
    installed("acme")
    return '[backends.acme]\nplugin = "acme"\n'
