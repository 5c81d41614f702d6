"""One copy of the repository, built once, for all tests of packaging; and leave to install from a package index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guard.sitecustomize import NOTES
from tests.packaging.build import build_all, copy_repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_all(repository, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="package", autouse=True)
def _outside() -> Iterator[None]:
    """Let pip connect to the package index: no other tests connect outside."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv(NOTES)
        yield
