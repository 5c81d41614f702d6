"""What runs in the child process of `keyclave.backends.probe`."""

from __future__ import annotations

import json
import os
from importlib.metadata import EntryPoint
from typing import Any

from keyclave.backends.failures import describe

__all__ = ["main"]

_STDOUT, _STDERR = 1, 2


def main(request: dict[str, Any]) -> None:
    """Import what the request names, answer on standard output, and end the process at once.

    What the plugin itself prints goes elsewhere, and neither its threads nor its exit handlers hold the answer up.
    """
    answer = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    outcome = ""
    try:
        EntryPoint(*request["entry_point"]).load()
    except BaseException as error:  # an import may raise anything, SystemExit included
        outcome = describe(error)
    os.write(answer, json.dumps({"nonce": request["nonce"], "outcome": outcome}).encode())
    os._exit(0)
