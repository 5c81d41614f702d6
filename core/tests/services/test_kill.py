"""Nothing is lost, whenever a process is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SWEEP = Path(__file__).with_name("kill_sweep.py")
PLACES = {
    "create": 6,
    "adopt": 5,
    "rotate": 7,
    "validate": 7,
    "promote": 1,
    "rollback": 3,
    "revoke": 5,
    "destroy": 4,
    "cancel": 6,
    "sign": 1,
    "migrate": 10,
    "rekey": 8,
    "revert": 4,
    "unrekey": 4,
    "retire": 4,
    "recover": 6,
}
"""After how many changes on the disk each operation is killed, at least; fewer, and the sweep would mean little."""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX")
@pytest.mark.parametrize("operation", PLACES)
def test_a_kill_after_any_change_on_the_disk_leaves_every_key_usable(
    tmp_path: Path, sites: Mapping[str, Path], operation: str
) -> None:
    command = [sys.executable, str(SWEEP), str(tmp_path), operation]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{sites['foreign']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["broken"] == {}
    assert result["places"] >= PLACES[operation]
