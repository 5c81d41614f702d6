"""What a version signed after it was rotated away is not released: shown by the server's own times of its commits.

Processes sign while another one rotates, each recording on a chain of its own. A signature whose record says SUCCESS
must have been committed before the rotation that ended its version.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyclave
import psycopg
import pytest
from keyclave.errors import Conflict
from keyclave.state.upgrade import upgrade

from core.tests.audit.second_checker import check_chains
from core.tests.configuring import settings_of
from tests.services.postgresql import Server, running

pytestmark = pytest.mark.needs("postgresql")

SIGNERS, ROTATIONS = 3, 25


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that notes when each transaction was committed."""
    with running("track_commit_timestamp=on") as started:
        yield started


def sign(config: Path, ready: Any, stop: Any, signed: Any) -> None:
    count = 0
    with keyclave.open(config) as clave:
        clave.keys.sign("k", b"message")
        ready.wait()
        while not stop.is_set():
            try:
                clave.keys.sign("k", b"message")
            except Conflict:  # rotated twice while it signed
                continue
            count += 1
    signed.put(count)


def test_no_signature_is_released_after_the_rotation_that_ended_its_version(server: Server, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE race")
    upgrade(server.url("race"))
    config = tmp_path / "keyclave.toml"
    config.write_text(settings_of(tmp_path / "state", url=server.url("race")))
    context = multiprocessing.get_context("spawn")
    ready, stop, signed = context.Barrier(SIGNERS + 1), context.Event(), context.Queue()
    with keyclave.open(config) as clave:
        clave.keys.create("k", "ED25519")
        workers = [context.Process(target=sign, args=(config, ready, stop, signed)) for _ in range(SIGNERS)]
        for worker in workers:
            worker.start()
        ready.wait(60)
        for _ in range(ROTATIONS):
            clave.rotation.rotate("k")
        stop.set()
        count = sum(signed.get(timeout=60) for _ in workers)
        for worker in workers:
            worker.join()
        assert clave.audit.verify().ok
    assert count > ROTATIONS
    with psycopg.connect(server.url("race")) as connection:
        assert check_chains(connection) == []
        operations = [
            (json.loads(record), committed)
            for record, committed in connection.execute(
                "SELECT record, pg_xact_commit_timestamp(xmin) FROM operations"
            )
        ]
        chains = connection.execute("SELECT count(*) FROM audit_head").fetchone()
    rotated = {
        o["key_version"]: t for o, t in operations if (o["operation_type"], o["status"]) == ("ROTATE", "SUCCESS")
    }
    signatures = [(o["key_version"], o["status"], t) for o, t in operations if o["operation_type"] == "SIGN"]
    assert chains == (SIGNERS + 1,)
    assert len(rotated) == ROTATIONS
    late = [
        version
        for version, status, committed in signatures
        if status == "SUCCESS" and version + 1 in rotated and committed > rotated[version + 1]
    ]
    assert late == []
    assert any(status == "FAILED" for _, status, _ in signatures), "no signature was ever overtaken"
