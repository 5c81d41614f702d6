"""Load a plugin's module in a process of its own, and see what that does besides."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from keyclave_contract_tests.loading_probe import Loaded, Request
from keyclave_contract_tests.violations import Violation

__all__ = ["load"]

_SECONDS = 60


def load(module: str) -> Loaded:
    """Return what became of loading a module and of calling its hooks there.

    Args:
        module: what an entry point names.

    Raises:
        Violation: the process ended or hung.
    """
    with tempfile.TemporaryDirectory(prefix="keyclave-host-") as root:
        request = Request(module=module, path=[p for p in sys.path if p], root=root)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "keyclave_contract_tests.loading_probe"],
                input=msgspec.json.encode(request) + b"\n",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
                check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(request.path), "PYTHONDONTWRITEBYTECODE": "1"},
            )
        except subprocess.TimeoutExpired:
            raise Violation(f"loading the plugin did not end within {_SECONDS} s") from None
        answer = Path(root) / "answer"
        if not answer.exists():
            raise Violation(f"loading the plugin ended the process, with status {done.returncode}")
        loaded = msgspec.json.decode(answer.read_bytes(), type=Loaded)
    return msgspec.structs.replace(loaded, printed=len(done.stdout))
