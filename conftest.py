"""For every test: the marker ``needs``, nothing of the person or machine that runs it, and no network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.guard.sitecustomize import NOTES
from tests.services.catalog import problem, required

_OURS = ("KEYCLAVE_", "PG")  # PG: of the client library of PostgreSQL
for _name in [name for name in os.environ if name.startswith(_OURS) and name != "KEYCLAVE_REQUIRE_SERVICES"]:
    del os.environ[_name]

settings.register_profile("keyclave", deadline=None)  # on a busy machine, any example can take long
settings.load_profile("keyclave")

_GUARD = str(Path(__file__).parent / "tests/guard")
_notes = tempfile.NamedTemporaryFile(prefix="keyclave-connections-")  # noqa: SIM115  for as long as the tests run
os.environ[NOTES] = _notes.name
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_GUARD, os.environ.get("PYTHONPATH"))))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose service is missing; in CI, let it fail."""
    for marker in item.iter_markers("needs"):
        if reason := problem(marker.args[0]):
            (pytest.fail if required() else pytest.skip)(f"needs {marker.args[0]}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Fail a test that tried to connect outside loopback, in this process or in one that it started."""
    _notes.truncate(0)
    yield
    if noted := Path(_notes.name).read_text():
        pytest.fail(f"the test connects outside loopback: {noted.strip()}")
