"""A disk without space, and a limit on the size of files."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keyclave.audit.log import AuditEntry, AuditLog
from keyclave.errors import AuditUnavailable
from keyclave.state.store import Store

from tests.services.catalog import required

Make = Callable[..., AuditEntry]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        (pytest.fail if required() else pytest.skip)("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(log: AuditLog, make_entry: Make) -> tuple[int, AuditUnavailable]:
    """Append until it is refused; return how many were not, and the refusal."""
    for acked in range(20_000):
        try:
            log.append(make_entry())
        except AuditUnavailable as error:
            return acked, error
    raise AssertionError("the disk never filled up")


def test_a_full_disk_fails_closed_and_the_log_goes_on_when_there_is_space(
    small_disk: Path, open_store: Callable[[Path], Store], make_entry: Make
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    store = open_store(small_disk)
    log = AuditLog(store, instance_id=uuid.UUID(int=7))
    acked, refusal = fill(log, make_entry)
    assert refusal.retryable
    assert acked > 10
    with pytest.raises(AuditUnavailable):
        log.append(make_entry())
    report = log.verify()
    assert (report.ok, report.records) == (True, acked)
    ballast.unlink()
    for _ in range(10):
        log.append(make_entry())
    report = log.verify()
    assert (report.ok, report.records) == (True, acked + 10)
    log.close()
    store.close()


@pytest.mark.skipif(os.name != "posix", reason="the limit is one of POSIX")
def test_a_file_size_limit_fails_closed(appender: Any) -> None:
    limit = (appender.directory / "state.db").stat().st_size + 60_000

    def restrict() -> None:
        import resource  # noqa: PLC0415  there is none on Windows

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    subprocess.run(
        appender.command(1, 60),
        env=appender.environment,
        check=True,
        capture_output=True,
        timeout=120,
        preexec_fn=restrict,
    )
    result = appender.examine()
    assert result.acked
    assert result.failed
    assert result.stored == result.acked
