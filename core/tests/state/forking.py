"""Fork with an open store, and say what the child and the parent saw. Run as a program: ``forking.py URL KEY``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from keyclave.errors import KeyclaveError
from keyclave.state.store import Store, Transaction

from core.tests.state.samples import BACKEND

URL, KEY_FILE = sys.argv[1], Path(sys.argv[2])


def attempt(call: Any) -> str:
    try:
        call()
    except KeyclaveError as error:
        return f"{type(error).__name__}: {error.message}"
    return "worked"


def put(store: Store, backend_id: str) -> None:
    with store.write() as state:
        state.backends.put(BACKEND.model_copy(update={"backend_id": backend_id}))


def read(store: Store) -> list[str]:
    with store.read() as state:
        return [backend.backend_id for backend in state.backends.all()]


def in_child(store: Store, state: Transaction | None = None) -> dict[str, str]:
    """Use the inherited store in every way, and let the interpreter end as it does without ``os._exit``."""
    output, child_output = os.pipe()
    child = os.fork()
    if child == 0:
        results = {
            "write": attempt(lambda: put(store, "child")),
            "read": attempt(lambda: read(store)),
            "reopen": attempt(store.reopen),
            "open": attempt(lambda: Store.open(URL, key_file=KEY_FILE)),
            "close": attempt(store.close),
        }
        if state is not None:
            results["statement"] = attempt(state.backends.all)
        os.write(child_output, json.dumps(results).encode())
        sys.exit(0)
    os.close(child_output)
    with os.fdopen(output) as file:
        seen: dict[str, str] = json.load(file)
    assert os.waitpid(child, 0)[1] == 0
    return seen


def main() -> None:
    """Fork while idle, inside a writing transaction and inside a reading one."""
    store = Store.open(URL, key_file=KEY_FILE)
    put(store, "before")
    results = {"idle": in_child(store)}
    with store.write() as state:
        state.backends.put(BACKEND.model_copy(update={"backend_id": "during"}))
        results["writing"] = in_child(store, state)
    with store.read() as state:
        results["reading"] = in_child(store, state)
        state.backends.all()
    put(store, "after")
    sys.stdout.write(json.dumps({"children": results, "parent": read(store)}))
    store.close()


if __name__ == "__main__":
    main()
