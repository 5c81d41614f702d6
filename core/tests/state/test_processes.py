"""Several processes work on one database: nothing is lost, and a killed one leaves nothing behind."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from hashlib import sha256

from keyclave.state.store import Store

from core.tests.databases import Place


def worker(place: Place, name: str, count: int, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "core.tests.state.working", place.url, str(place.key_file), name, str(count)]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def content(store: Store) -> tuple[set[str], list[str]]:
    """Return the names of the keys, and the records of the audit log, whose chains are followed."""
    names: set[str] = set()
    after: str | None = None
    with store.read() as state:
        while page := state.keys.page(after, 50):
            names.update(key.name for key in page)
            after = page[-1].name
            assert all(len(state.keys.versions(key.key_id)) == 1 for key in page)
        records = []
        for chain in state.audit.chains():
            rows, head = state.audit.rows(chain, 0, 10_000), state.audit.head(chain)
            previous = bytes(32)
            for number, row in enumerate(rows, start=1):
                previous = sha256(previous + row.record).digest()
                assert (row.sequence, row.hash) == (number, previous)
            assert (head.sequence, head.hash) == (len(rows), previous)
            records += [row.record.decode() for row in rows]
        # A key, its version and its record, and each chain behind the first.
        assert state.epoch == 3 * len(names) + len(state.audit.chains()) - 1
        state.keys.prove()
        state.audit.prove()
    return names, records


def test_two_processes_create_one_database_and_lose_nothing(place: Place) -> None:
    processes = [worker(place, name, 200) for name in "ab"]
    for process in processes:
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    expected = {f"{name}-{number}" for name in "ab" for number in range(200)}
    with contextlib.closing(place.open()) as store:
        names, records = content(store)
    assert names == expected
    assert sorted(records) == sorted(expected)


def test_a_process_that_is_killed_in_a_transaction_leaves_a_good_database(place: Place) -> None:
    with contextlib.closing(place.open()) as store:
        with worker(place, "killed", 3, "kill") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.kill()
        with store.write() as state:
            assert state.keys.by_name("killed-2")
        names, records = content(store)
    assert names == set(records) == {"killed-0", "killed-1", "killed-2"}
    if place.kind == "sqlite":
        with place.raw() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
