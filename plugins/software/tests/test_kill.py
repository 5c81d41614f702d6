"""A process that is killed leaves every key as it was or as it should become."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = Path(__file__).with_name("kill_sweep.py")
ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(os.name != "posix", reason="there is no kill -9 elsewhere")
@pytest.mark.parametrize(
    ("operation", "states"),
    [
        ("open", []),
        ("create", ["absent", "enabled"]),
        ("import", ["absent", "enabled"]),
        ("disable", ["disabled", "enabled"]),
        ("enable", ["disabled", "enabled"]),
        ("destroy", ["absent", "enabled"]),
    ],
)
def test_killed_at_every_line_it_leaves_old_or_new(tmp_path: Path, operation: str, states: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, SWEEP, operation, tmp_path / "sweep"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    kills, *left = ran.stdout.split()
    assert int(kills) >= 40
    assert left == states
