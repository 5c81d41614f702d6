"""A forked child is told that it cannot use its parent's store, and does it no harm, not even by ending."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from keyclave.state import forks

from core.tests.databases import Place

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

REFUSED = "StateUnavailable: the process was forked while the database was open"


def test_a_child_is_refused_and_its_parent_unharmed(place: Place) -> None:
    command = [sys.executable, "-m", "core.tests.state.forking", place.url, str(place.key_file)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stderr == ""
    output = json.loads(result.stdout)
    for moment in ("idle", "writing", "reading"):
        assert output["children"][moment] == {
            "write": REFUSED,
            "read": REFUSED,
            "reopen": REFUSED,
            "open": REFUSED,
            "close": "worked",
            **({} if moment == "idle" else {"statement": REFUSED}),
        }, moment
    assert output["parent"] == ["after", "before", "during"]
    with contextlib.closing(place.open()) as store, store.read() as state:
        assert [backend.backend_id for backend in state.backends.all()] == ["after", "before", "during"]
    if place.kind == "sqlite":
        with place.raw() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_store_that_was_closed_before_the_fork_may_be_opened_in_the_child(sqlite_place: Place) -> None:
    program = (
        "import os, sys; from pathlib import Path; from keyclave.state.store import Store\n"
        "def work():\n"
        "    store = Store.open(sys.argv[1], key_file=Path(sys.argv[2]))\n"
        "    with store.read() as state: state.epoch\n"
        "    store.close()\n"
        "work()\n"
        "child = os.fork()\n"
        "if child == 0: work(); os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    command = [sys.executable, "-c", program, sqlite_place.url, str(sqlite_place.key_file)]
    subprocess.run(command, check=True, cwd=Path.cwd())


def test_only_open_stores_are_remembered(sqlite_place: Place) -> None:
    store = sqlite_place.open()
    assert store in forks._open
    store.close()
    assert store.connections() == []
