"""For every test of the repository: the marker ``needs``, and nothing of the person or the machine that runs it."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.services.catalog import problem, required

_OURS = ("KEYCLAVE_", "PG")  # PG: of the client library of PostgreSQL
for _name in [name for name in os.environ if name.startswith(_OURS) and name != "KEYCLAVE_REQUIRE_SERVICES"]:
    del os.environ[_name]

settings.register_profile("keyclave", deadline=None)  # on a busy machine, any example can take long
settings.load_profile("keyclave")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose service is missing; in CI, let it fail."""
    for marker in item.iter_markers("needs"):
        if reason := problem(marker.args[0]):
            (pytest.fail if required() else pytest.skip)(f"needs {marker.args[0]}: {reason}")
