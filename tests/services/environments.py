"""Services that are Python programs: each in a virtual environment of its own, so that its pins bind nobody else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["ROOT", "directory", "install"]

ROOT = Path(__file__).parents[2]


def directory(name: str) -> Path:
    """Return where the service is, once it is installed; other pins are installed elsewhere."""
    pins = hashlib.sha256(_constraints(name).read_bytes()).hexdigest()
    return ROOT / ".services" / f"{name}-{pins[:12]}"


def install(name: str) -> None:
    """Install a service from ``constraints/NAME.txt``, which pins all of it with hashes.

    Raises:
        CalledProcessError: pip fails, and has said why.
    """
    venv.create(directory(name), clear=True, with_pip=True)
    pip = (str(directory(name) / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    pinned = ("--no-deps", "--require-hashes", "--requirement", str(_constraints(name)))
    subprocess.run([*pip, *pinned], check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _constraints(name: str) -> Path:
    return ROOT / "constraints" / f"{name}.txt"
