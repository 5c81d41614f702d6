"""Nothing is lost, wherever a process is killed: some of the places here, all of them in ``nox -s sweep``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.operations import SWEPT

pytestmark = [pytest.mark.needs("strace")]

ROOT = Path(__file__).parents[2]
CHOSEN = {
    "software": (30, SWEPT["software"]),
    "softhsm": (90, ("create", "adopt", "rotate", "destroy", "recover-adopt", "recover-rotate")),
}
"""Every which place, of which operations."""
PLACES = {
    "software": {"create": 70, "sign": 25, "rotate": 80, "recover-rotate": 100},
    "softhsm": {"create": 300, "adopt": 90, "rotate": 300, "recover-rotate": 100},
}
"""Where some operations can be interrupted, at least; fewer, and the sweep would mean little."""


def swept(backend: str, output: Path) -> list[dict[str, Any]]:
    every, operations = CHOSEN[backend]
    command = [sys.executable, "-m", "tests.sweep", "--backend", backend, "--every", str(every), "--jobs", "1"]
    ran = subprocess.run(
        [*command, "--json", str(output), *operations],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: list[dict[str, Any]] = json.loads(output.read_text())
    return found


@pytest.mark.parametrize("backend", ["software", pytest.param("softhsm", marks=pytest.mark.needs("softhsm"))])
def test_a_kill_at_a_system_call_or_step_leaves_every_invariant_true(tmp_path: Path, backend: str) -> None:
    figures = swept(backend, tmp_path / "figures.json")
    assert [each["operation"] for each in figures] == [*CHOSEN[backend][1]]
    assert {each["operation"]: each["wrong"] for each in figures if each["wrong"]} == {}
    for each in figures:
        assert each["places"] >= PLACES[backend].get(each["operation"], 20)
        assert each["tried"] == each["places"] - len(each["left_out"]) > 0
