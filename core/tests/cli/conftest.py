"""The program in a home of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from keyclave.cli.root import app

from core.tests.backends.conftest import installed, sites

__all__ = ["Run", "installed", "run", "sites"]

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's: neither files nor variables."""
    for name in [name for name in os.environ if name.startswith("KEYCLAVE_")]:
        monkeypatch.delenv(name)
    work = tmp_path / "work"
    work.mkdir()
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.chdir(work)


@pytest.fixture
def run(config: Path) -> Run:
    """Run the program in this process."""

    def call(*arguments: str, code: int = 0, stdin: bytes | str | None = None) -> Result:
        result = CliRunner().invoke(app, ["--config", str(config), *arguments], input=stdin)
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    return call
