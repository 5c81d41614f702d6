"""Nothing is lost, whenever a process is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = Path(__file__).with_name("kill_sweep.py")
STEP = int(os.environ.get("KEYCLAVE_SWEEP_STEP", "3"))
"""Every third place by default; 1 takes them all, in some minutes."""
PLACES = {"create": 240, "rotate": 240, "revoke": 170, "destroy": 170, "sign": 130}
"""What each operation reaches at least; fewer, and the sweep would mean little."""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX")
@pytest.mark.parametrize("operation", PLACES)
def test_a_kill_at_any_line_leaves_every_key_usable(tmp_path: Path, operation: str) -> None:
    command = [sys.executable, str(SWEEP), str(tmp_path), operation, str(STEP)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["broken"] == {}
    assert result["places"] >= PLACES[operation] // STEP
