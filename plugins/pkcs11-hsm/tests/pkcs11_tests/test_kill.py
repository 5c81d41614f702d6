"""A process that is killed while it makes a key leaves none, or a whole one, and never what cannot be mended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.needs("softhsm"), pytest.mark.needs("cc"), pytest.mark.needs("strace")]

ROOT = Path(__file__).parents[4]


@pytest.mark.skipif(os.name != "posix", reason="there is no kill -9 elsewhere")
@pytest.mark.parametrize("algorithm", ["ECDSA_P256", "AES_256"])
def test_killed_anywhere_it_leaves_nothing_or_a_whole_key(tmp_path: Path, proxy_path: Path, algorithm: str) -> None:
    ran = subprocess.run(
        [sys.executable, Path(__file__).with_name("kill_sweep.py"), algorithm, proxy_path, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    calls, writes, *left = ran.stdout.split()
    assert int(calls) >= 20
    assert int(writes) >= 30
    assert left == ["absent", "whole"], ran.stderr
