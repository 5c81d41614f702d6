"""The suite as pytest collects it, in a project of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TWELVE_LINES = """\
from keyclave_contract_tests import BackendContract


class TestSoftware(BackendContract):
    plugin = "software"
    budget = "smoke"

    @classmethod
    def settings(cls, directory):
        return {"keystore": str(directory / "keys")}
"""


def pytest_in(directory: Path, content: str, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_contract.py").write_text(content)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", *options],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_backend_adopts_the_suite_in_twelve_lines(tmp_path: Path) -> None:
    assert TWELVE_LINES.count("\n") <= 12
    done = pytest_in(tmp_path, TWELVE_LINES, "--contract-report", "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "reports" / "software" / "contract-report.json").read_text())
    assert report["leftovers"] == []
    assert report["run"]["budget"] == "smoke"


@pytest.mark.parametrize(
    "override",
    [
        "def runtest(self): ...",
        "def created_key_is_found(self): ...",
        "checks = ()",
    ],
)
def test_nothing_but_what_is_declared_may_be_set(tmp_path: Path, override: str) -> None:
    done = pytest_in(tmp_path, TWELVE_LINES + f"\n    {override}\n")
    assert done.returncode != 0
    assert "may set" in done.stdout


def test_a_deselected_check_makes_the_run_partial(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, TWELVE_LINES, "--contract-report", "reports", "-k", "not 1-created")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "reports" / "software" / "contract-report.json").read_text())
    assert report["run"]["partial"] is True
    assert not any(level["earned"] for level in report["levels"])


def test_a_plugin_that_is_not_there_fails_every_check(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, TWELVE_LINES.replace('"software"', '"nowhere"'))
    assert done.returncode == 1
    assert " passed" not in done.stdout


def test_an_unknown_budget_is_an_error(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, TWELVE_LINES.replace('"smoke"', '"lavish"'))
    assert done.returncode == 1
    assert "budget must be one of" in done.stdout
