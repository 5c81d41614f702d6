"""What must hold of the keys, the keystore and the log after any race."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import keyclave

from core.tests.databases import Place
from core.tests.fleet import node

__all__ = ["problems", "successes"]

_PATIENCE = 40.0
"""Seconds; what an ended process left open is taken over when its lease is over."""


def problems(place: Place, directory: Path) -> list[str]:
    """Return every rule that does not hold, after recovery."""
    with node(place, directory / "checker") as clave:
        deadline = time.monotonic() + _PATIENCE
        while clave.recovery.open_intents() and time.monotonic() < deadline:
            clave.recovery.run()
            time.sleep(0.2)
        found = [f"still open: {intent.kind} at {intent.step}" for intent in clave.recovery.open_intents()]
        if not clave.audit.verify().ok:
            found.append("the audit log is broken")
        for handle in clave.keys.list():
            found += _unusable(clave, handle.name)
        living = sum(v.destroyed_at is None for h in clave.keys.list() for v in clave.keys.versions(h.name))
    kept = sum(len(path.stem) == len("0" * 32) for path in (directory / "keystore").glob("*.key"))
    if kept != living:
        found.append(f"{living} versions exist, {kept} are in the keystore")
    return found + _versions(place)


def _unusable(clave: keyclave.Keyclave, name: str) -> list[str]:
    signed = clave.keys.sign(name, b"message")
    return [] if clave.keys.verify(name, b"message", signed.signature) == signed.version else [f"{name} is wrong"]


def _versions(place: Place) -> list[str]:
    with place.raw() as connection:
        rows = connection.execute(
            "SELECT key_id, version, status FROM key_versions ORDER BY key_id, version"
        ).fetchall()
    found = []
    for key in {row[0] for row in rows}:
        numbers = [version for key_id, version, _ in rows if key_id == key]
        statuses = [status for key_id, _, status in rows if key_id == key]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"versions {numbers}")
        if statuses.count("ACTIVE") != 1 or statuses.count("PENDING") > 1:
            found.append(f"statuses {statuses}")
    return found


def successes(place: Place) -> list[dict[str, Any]]:
    """Return the records of what succeeded."""
    with place.raw() as connection:
        rows = connection.execute("SELECT record FROM operations").fetchall()
    records = [json.loads(bytes(record)) for (record,) in rows]
    return [record for record in records if record["status"] == "SUCCESS"]
