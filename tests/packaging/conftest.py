"""One copy of the repository, built once, for all tests of packaging."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.build import build_all, copy_repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_all(repository, tmp_path_factory.mktemp("dist"))
