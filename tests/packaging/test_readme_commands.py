"""README's first command works in a fresh copy, in an empty home, as it is written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.packaging.build import copy_repository

pytestmark = [
    pytest.mark.needs("git"),
    pytest.mark.skipif(os.name != "posix", reason="the command is for a POSIX shell"),
]

FIRST, _ = (block.text for block in blocks(ROOT / "README.md") if block.kind == "bash setup")


def test_the_first_command_sets_up_and_tours(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    clone = copy_repository(tmp_path / "clone")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "VIRTUAL_ENV"))}
    result = subprocess.run(
        ["bash", "-c", FIRST],
        cwd=clone,
        env={**environment, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    assert "All steps done" in result.stdout
    assert "README.md" in result.stdout
    left = [path for path in home.rglob("*") if "keyclave" in path.name]
    assert left == [], "it left something in the home directory"


@pytest.mark.parametrize("name", ["run", "build", "dev"])
def test_pins_have_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / f"constraints/{name}.txt").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(pins) > 3
    assert all("==" in line and line.endswith("\\") for line in pins)
    assert "://" not in text
    assert "index" not in text
    assert text.count("--hash=sha256:") >= len(pins)
