"""Services that are Go programs: built from source by the Go that is installed, which checks what it downloads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["MODULES", "directory", "install"]

ROOT = Path(__file__).parents[2]
MODULES = {"ec2-metadata-mock": "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@v1.13.0"}
"""The package of each, with its version."""


def directory(name: str) -> Path:
    """Return where the service is, once it is built; another version is built elsewhere."""
    return ROOT / ".services" / f"{name}-{MODULES[name].rpartition('@')[2]}"


def install(name: str) -> None:
    """Build a service.

    Raises:
        CalledProcessError: Go fails, and has said why.
        FileNotFoundError: there is no Go.
    """
    environment = os.environ | {"GOBIN": str(directory(name) / "bin")}
    command = ["go", "install", MODULES[name]]
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
