"""An empty virtual environment in an empty home, without a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["Environment"]

_KEPT = ("PIP_", "SSL_", "REQUESTS_", "CURL_", "LANG", "LC_")


class Environment:
    """A home directory, and a virtual environment in it.

    Of the surrounding environment only what pip needs to reach its package index is kept.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._scripts = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self.variables = {
            **{name: value for name, value in os.environ.items() if name.startswith(_KEPT)},
            "HOME": str(home),
            "CC": "/nonexistent/cc",
            "CXX": "/nonexistent/cxx",
            "NO_COLOR": "1",
            "PATH": f"{self._scripts}{os.pathsep}{os.environ['PATH']}",
            "PIP_ONLY_BINARY": ":all:",
        }
        self._run(sys.executable, "-m", "venv", str(home / "venv"))

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run a program of the environment, and return what it prints."""
        return self._run(str(self._scripts / program), *map(str, arguments))

    def _run(self, *command: str) -> str:
        result = subprocess.run(
            command, env=self.variables, cwd=self.variables["HOME"], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout
