"""Kill this process on entry to its n-th system call of a kind, by strace; or list the calls that it makes.

The call that is killed is not carried out. So the kills at all calls of an operation leave behind what each of them
found: together with the state after the last call that is everything that a kill can leave.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["CALLS", "Call", "attach", "read_calls"]

CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range", "sendfile"),
    *("fsync", "fdatasync", "sync_file_range", "msync", "truncate", "ftruncate", "fallocate"),
    *("openat", "open", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat"),
)
"""Every system call that changes a file or a directory, or says that it is on the disk."""

_OPENING = frozenset({"openat", "open"})
_LINE = re.compile(r"(?:\d+ +)?(?:[\d:.]+ )?(\w+)\((.*)")
_PR_SET_PTRACER, _ANY_PROCESS = 0x59616D61, -1  # prctl(2): so that strace, a child, may trace its parent
_STATUS_BYTES = 10_000
_TEXT_BYTES = "0"
"""No more of what is written than this is in the trace: it may be a secret."""


class Call(NamedTuple):
    """One system call.

    Attributes:
        name: of the call.
        number: which call of this name it is, from 1.
        about: the files that it names.
    """

    name: str
    number: int
    about: str


def attach(trace: Path, call: Call | None) -> None:
    """Let strace watch this process from now on, and kill it on entry to one call.

    Args:
        trace: where strace writes what it sees.
        call: where to kill; ``None`` only lists.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY_PROCESS)
    options = ["-f", "-qq", "-y", "-s", _TEXT_BYTES, "-o", str(trace), "-e", "signal=none"]
    options += ["-e", f"trace=?{',?'.join(CALLS)}" if call is None else f"trace={call.name}"]
    if call is not None:
        options += ["-e", f"inject={call.name}:signal=KILL:when={call.number}"]
    status = os.open("/proc/self/status", os.O_RDONLY)  # before strace counts what is opened
    subprocess.Popen(["strace", *options, "-p", str(os.getpid())])
    while b"TracerPid:\t0\n" in os.pread(status, _STATUS_BYTES, 0):
        time.sleep(0.001)


def read_calls(trace: Path, *below: Path) -> Iterator[Call]:
    """Yield the calls of a trace that change what is stored, in their order.

    Args:
        trace: what strace wrote.
        below: the files, and the directories with the files, that are stored.
    """
    numbers: Counter[str] = Counter()
    for line in trace.read_text().splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        name, arguments = found.groups()
        numbers[name] += 1
        if any(str(path) in arguments for path in below) and (name not in _OPENING or "O_CREAT" in arguments):
            yield Call(name, numbers[name], arguments)
