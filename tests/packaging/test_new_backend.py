"""The tutorial "Write a backend in an hour", to the letter: an empty directory, and nothing but wheels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.docs.markdown import ROOT, blocks
from tests.docs.run import Page

pytestmark = [
    pytest.mark.needs("git"),
    pytest.mark.skipif(os.name != "posix", reason="the tutorial is for a POSIX shell"),
]

TUTORIAL = ROOT / "docs/tutorial/write-a-backend.md"
EARNED = {"Core", "Sign"}


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheels of everything that is not ours, each with the hash that is written down."""
    directory = tmp_path_factory.mktemp("pinned")
    pins = ROOT / "constraints/dev.txt"
    command = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    arguments = ["--requirement", str(pins), "--dest", str(directory)]
    subprocess.run([sys.executable, "-m", "pip", *command, *arguments], check=True)
    return directory


def test_the_tutorial(built: Path, pinned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir(mode=0o700)
    work.mkdir()
    monkeypatch.chdir(work)
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    environment = {
        **kept,
        "HOME": str(home),
        "PATH": f"{work}/.venv/bin{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{built} {pinned}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    page = Page(TUTORIAL, environment)
    for block in blocks(TUTORIAL):
        if block.runs:
            page.run(block)
    report = msgspec.json.decode((work / "report/contract-report.json").read_bytes())
    assert report["plugin"]["distribution"] == "keyclave-acme-box"
    assert {level["level"] for level in report["levels"] if level["earned"]} >= EARNED
    assert (work / "report/contract-report.html").stat().st_size > 0
