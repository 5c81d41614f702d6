"""Failed, late and deadly system calls below SQLite. Each test fails if its fault did not happen.

strace counts the calls of each thread for itself. The main thread of the program opens and closes the database; it
makes fewer calls than the numbers used here, so the faults meet the threads that append.
"""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.needs("strace")

COUNT = 20


class Strace:
    """Runs the appending program with a fault."""

    def __init__(self, appender: Any) -> None:
        self._appender = appender
        self.trace = ""

    def run(self, fault: str, *, threads: int = 1, count: int = COUNT) -> Any:
        trace = self._appender.directory / "trace"
        options = [
            "-f",
            "-s",
            "64",
            "-o",
            str(trace),
            "-e",
            "trace=fdatasync,pwrite64,write",
            "-e",
            f"inject={fault}",
        ]
        command = ["strace", *options, *self._appender.command(threads, count)]
        subprocess.run(command, env=self._appender.environment, capture_output=True, timeout=120, check=False)
        self.trace = trace.read_text()
        assert re.search("INJECTED|DELAYED|killed by SIGKILL", self.trace), "the fault did not happen"
        return self._appender.examine()


@pytest.fixture
def strace(appender: Any) -> Strace:
    return Strace(appender)


@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=5",
        "pwrite64:error=EIO:when=40",
        "pwrite64:error=EIO:when=43",
        "pwrite64:error=ENOSPC:when=45",
    ],
)
def test_one_failed_system_call_costs_the_waiting_operation_only(strace: Strace, fault: str) -> None:
    result = strace.run(fault)
    assert strace.trace.count("INJECTED") == 1
    assert len(result.acked) + len(result.failed) == COUNT
    assert len(result.failed) <= 1
    assert result.stored == result.acked


@pytest.mark.parametrize("until", [6, 7, 9])
def test_whatever_becomes_of_a_commit_that_failed_the_answer_agrees_with_the_log(strace: Strace, until: int) -> None:
    result = strace.run(f"fdatasync:error=EIO:when=5..{until}")
    assert strace.trace.count("INJECTED") >= 2
    assert len(result.acked) + len(result.failed) == COUNT
    assert result.stored <= result.acked | result.failed
    assert len(result.acked) > COUNT // 2


def test_a_disk_that_never_syncs_again_fails_every_operation_from_then_on(strace: Strace) -> None:
    result = strace.run("fdatasync:error=EIO:when=6+")
    assert strace.trace.count("INJECTED") > 1
    assert result.acked
    assert result.failed
    assert len(result.acked) + len(result.failed) == COUNT
    assert result.stored <= result.acked | result.failed


def test_nobody_is_answered_before_the_disk_has_answered(strace: Strace) -> None:
    result = strace.run("fdatasync:delay_exit=20000:when=5..8")
    calls = re.findall(r"(fdatasync|pwrite64|write)\((?:\d+, \"([0-9a-f-]{36}))?", strace.trace)
    synced = False
    answers = 0
    for call, operation in calls:
        if call == "fdatasync":
            synced = True
        elif call == "pwrite64":
            synced = False
        elif operation:
            assert synced, "an operation was acknowledged while its record was not yet synced"
            answers += 1
    assert answers == len(result.acked) == COUNT


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("nth", [1, 3, 8])
def test_a_process_killed_at_a_system_call_of_a_group_commit_loses_nothing_it_acknowledged(
    strace: Strace, call: str, nth: int
) -> None:
    result = strace.run(f"{call}:signal=KILL:when={nth}", threads=6, count=200)
    assert "killed by SIGKILL" in strace.trace
    assert not result.failed
    assert len(result.stored) < 1200
