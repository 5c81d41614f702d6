"""Nothing is lost, whenever a process is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = Path(__file__).with_name("kill_sweep.py")
PLACES = {"create": 6, "rotate": 7, "revoke": 5, "destroy": 4, "sign": 1, "recover": 6}
"""After how many changes on the disk each operation is killed, at least; fewer, and the sweep would mean little."""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX")
@pytest.mark.parametrize("operation", PLACES)
def test_a_kill_after_any_change_on_the_disk_leaves_every_key_usable(tmp_path: Path, operation: str) -> None:
    command = [sys.executable, str(SWEEP), str(tmp_path), operation]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["broken"] == {}
    assert result["places"] >= PLACES[operation]
