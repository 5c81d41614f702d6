"""Copy the repository as a clone would have it, and build its distributions from the copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["DISTRIBUTIONS", "ROOT", "build_all", "copy_repository"]

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {
    "keyclave": "core",
    **{
        f"keyclave-{path.parent.name}": f"plugins/{path.parent.name}"
        for path in ROOT.glob("plugins/*/pyproject.toml")
    },
    "keyclave-contract-tests": "contract-tests",
}


def copy_repository(target: Path) -> Path:
    """Copy every file that git has or would add, as it is now; return the copy."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def build_all(repository: Path, target: Path) -> Path:
    """Build an sdist of each distribution, and a wheel from that sdist, as a release would."""
    for path in DISTRIBUTIONS.values():
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), path]
        subprocess.run(command, cwd=repository, check=True, capture_output=True)
    return target
