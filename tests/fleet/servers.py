"""What becomes of a fleet in traffic when its database server crashes: what was answered holds, and it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

from core.tests.databases import Place
from core.tests.fleet import node
from tests.fleet.check import problems, successes
from tests.fleet.races import require
from tests.fleet.worker import KEY, SHARED
from tests.fleet.workers import Worker, fleet
from tests.services.postgresql import Server

__all__ = ["killed_in_commit", "restarted"]

_CONTINUES = 10.0
_LEASE_SECONDS = 5.0
_TRAFFIC_SECONDS = 1.5
"""Before each fault."""


def restarted(server: Server, place: Place, directory: Path, *, processes: int, times: int) -> dict[str, Any]:
    """Let the server crash and start again while processes sign and rotate, and once more while they do nothing."""
    _prepare(place, directory, processes)
    restarts: list[float] = []
    with fleet(place, directory, processes, lease_seconds=_LEASE_SECONDS) as workers:
        _begin(workers)
        for _ in range(times):
            time.sleep(_TRAFFIC_SECONDS)
            _crash(server)
            restarts.append(time.time())
        _wait_for_all(workers, restarts[-1])
        answers = _end(workers)
        _crash(server)
        for worker in workers:
            worker.tell("sign")
        idle = [worker.answer() for worker in workers]
    require(all("done" in answer for answer in idle), f"a process notices a crash while it did nothing: {idle}")
    lines = _acknowledged(workers)
    gaps = [
        min((moment - back for _, _, moment, name in lines if name == worker.name and moment > back), default=999.0)
        for back in restarts
        for worker in workers
    ]
    require(max(gaps) < _CONTINUES, f"a process went on {max(gaps):.1f} s after a restart: {answers}")
    _compare(place, directory, workers, answers)
    return {**answers, "restarts": times, "all went on within": f"{max(gaps):.1f} s"}


def killed_in_commit(server: Server, place: Place, directory: Path, *, processes: int, times: int) -> dict[str, Any]:
    """Kill sessions of the server during COMMIT while processes sign and rotate."""
    server.execute("ALTER SYSTEM SET commit_delay = 20000")  # microseconds: longer, so that it can be met
    server.execute("ALTER SYSTEM SET commit_siblings = 0")
    server.execute("SELECT pg_reload_conf()")
    _prepare(place, directory, processes)
    kills = 0
    with fleet(place, directory, processes, lease_seconds=_LEASE_SECONDS) as workers:
        _begin(workers)
        for _ in range(times):
            time.sleep(_TRAFFIC_SECONDS)
            kills += _kill_in_commit(server)
        _wait_for_all(workers, time.time())
        answers = _end(workers)
    require(kills == times, f"{kills} of {times} kills met a COMMIT")
    _compare(place, directory, workers, answers)
    return {**answers, "sessions killed": kills}


def _crash(server: Server) -> None:
    server.stop(signal.SIGQUIT)
    server.start()


def _prepare(place: Place, directory: Path, processes: int) -> None:
    with node(place, directory / "checker") as clave:
        for name in (SHARED, *(KEY.format(f"worker{number}") for number in range(processes))):
            clave.keys.create(name, "ED25519")


def _begin(workers: list[Worker]) -> None:
    for worker in workers:
        worker.tell("traffic", str(worker.acknowledged))


def _wait_for_all(workers: list[Worker], since: float) -> None:
    """Wait until each process was answered after a moment, though not for ever."""
    deadline = time.monotonic() + 2 * _CONTINUES
    while time.monotonic() < deadline:
        if {name for _, _, moment, name in _acknowledged(workers) if moment > since} == {w.name for w in workers}:
            return
        time.sleep(0.2)


def _end(workers: list[Worker]) -> dict[str, int]:
    """End the traffic, and add up what was answered."""
    total: Counter[str] = Counter()
    for worker in workers:
        worker.acknowledged.with_suffix(".end").touch()
    for worker in workers:
        answer = worker.answer()
        require("done" in answer, answer)
        total.update(answer["done"])
    return dict(total)


def _kill_in_commit(server: Server) -> bool:
    """Kill the first session that is found committing, and wait until the server is back."""
    deadline = time.monotonic() + 20
    query = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query = 'COMMIT' LIMIT 1"
    killed = False
    with (
        contextlib.suppress(psycopg.OperationalError),  # the server ends all other sessions then, this one too
        psycopg.connect(server.url("postgres"), autocommit=True) as connection,
    ):
        while time.monotonic() < deadline:
            row = connection.execute(query).fetchone()
            if row is not None and not killed:
                os.kill(row[0], signal.SIGKILL)
                killed = True
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            server.execute("SELECT 1")
            return killed
        time.sleep(0.05)
    return False


def _acknowledged(workers: list[Worker]) -> list[tuple[str, Any, float, str]]:
    return [
        (*json.loads(line), worker.name)
        for worker in workers
        for line in worker.acknowledged.read_text().splitlines()
    ]


def _compare(place: Place, directory: Path, workers: list[Worker], answers: dict[str, int]) -> None:
    """Compare what was answered with what is recorded: nothing is lost, and of what failed nothing is there."""
    require(problems(place, directory) == [], problems(place, directory))
    lines = _acknowledged(workers)
    records = successes(place)
    signatures = {record["operation_id"] for record in records if record["operation_type"] == "SIGN"}
    lost = [answer for kind, answer, *_ in lines if kind == "signed" and _operation(answer) not in signatures]
    require(not lost, f"signatures without a record: {lost}")
    for worker in workers:
        told = [answer for kind, answer, _, name in lines if name == worker.name and kind == "rotated"]
        made = [
            record["key_version"]
            for record in records
            if record["operation_type"] == "ROTATE" and record["principal"] == worker.name
        ]
        require(set(told) <= set(made), f"{worker.name}: rotations without a record: {set(told) - set(made)}")
        unknown = answers.get("rotated perhaps", 0)
        require(len(made) <= len(told) + unknown, f"{worker.name}: {len(made)} rotations, {len(told)} told of")


def _operation(reference: str) -> str:
    return reference.rpartition(":")[2]
