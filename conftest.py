"""For every test: the marker ``needs``, shared services, and no settings of the person who runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.services.catalog import problem, required
from tests.services.ministack import Server, running

_OURS = ("KEYCLAVE_", "PG")  # PG: of the client library of PostgreSQL
for _name in [name for name in os.environ if name.startswith(_OURS) and name != "KEYCLAVE_REQUIRE_SERVICES"]:
    del os.environ[_name]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose service is missing; in CI, let it fail."""
    for marker in item.iter_markers("needs"):
        if reason := problem(marker.args[0]):
            (pytest.fail if required() else pytest.skip)(f"needs {marker.args[0]}: {reason}")


@pytest.fixture(scope="session")
def ministack() -> Iterator[Server]:
    """An emulator of AWS; tests tell their keys apart by the instance, as instances of Keyclave do."""
    with running() as server:
        yield server
