"""What is done to a fleet, and what must come of it: each function returns its figures, or raises."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from core.tests.databases import Place
from core.tests.fleet import node
from tests.fleet.check import problems
from tests.fleet.worker import SHARED
from tests.fleet.workers import Worker, fleet

__all__ = ["require", "rotations", "stopped"]


def require(holds: bool, what: object) -> None:  # noqa: FBT001  as in an assertion
    """Raise if something that must hold does not."""
    if not holds:
        raise AssertionError(what)


def rotations(place: Place, directory: Path, *, processes: int, races: int) -> dict[str, Any]:
    """Let processes rotate one key at once, again and again: one makes the new version, the others get a Conflict."""
    with node(place, directory / "checker") as clave:
        clave.keys.create(SHARED, "ED25519")
    started = time.monotonic()
    conflicts = 0
    with fleet(place, directory, processes) as workers:
        for race in range(races):
            for action in ("rotate", "promote"):
                answers = _all_at_once(workers, action)
                done = [answer["done"] for answer in answers if "done" in answer]
                require(done == [race + 2], f"race {race}: {action}: {answers}")
                require(sum(answer.get("conflict", False) for answer in answers) == processes - 1, answers)
                conflicts += processes - 1
        seconds = time.monotonic() - started
    require(problems(place, directory) == [], problems(place, directory))
    with place.raw() as connection:
        versions = connection.execute("SELECT version, status FROM key_versions ORDER BY version").fetchall()
    require(versions == [*((n + 1, "DEPRECATED") for n in range(races)), (races + 1, "ACTIVE")], versions)
    return {"versions": races, "conflicts": conflicts, "seconds": round(seconds, 1)}


def _all_at_once(workers: list[Worker], action: str) -> list[dict[str, Any]]:
    for worker in workers:
        worker.tell(action)
    return [worker.answer() for worker in workers]


def stopped(place: Place, directory: Path, *, lease_seconds: float, times: int) -> dict[str, Any]:
    """Stop a process in the middle of a rotation past its lease, let another take over, and continue the first."""
    with node(place, directory / "checker") as clave:
        clave.keys.create(SHARED, "ED25519")
    taken_over = []
    with fleet(place, directory, 2, lease_seconds=lease_seconds) as (first, other):
        for turn in range(times):
            first.tell("stop_and_swap")
            first.wait_until_stopped()
            began = time.monotonic()
            while True:
                other.tell("recover")
                if (answer := other.answer()) == {"done": ["rotate"]}:
                    break
                require(answer == {"done": []}, answer)
                require(time.monotonic() - began < lease_seconds + 10, "nobody takes over")
                time.sleep(0.05)
            taken_over.append(time.monotonic() - began)
            other.tell("swap")
            made = other.answer()
            require("done" in made, made)
            first.go_on()
            fenced = first.answer()
            require(fenced.get("failed") == "LeaseLost" and fenced["conflict"], fenced)
            first.tell("swap")
            require(first.answer() == {"done": made["done"] + 1}, f"turn {turn}")
    require(problems(place, directory) == [], problems(place, directory))
    return {"fenced": times, "taken over after": f"{min(taken_over):.1f} to {max(taken_over):.1f} s"}
