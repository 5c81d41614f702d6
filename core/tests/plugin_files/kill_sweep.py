"""Run as a program: kill a file operation at every line of its code, and look at what that leaves.

``kill_sweep.py OPERATION SCRATCH`` prints how many kills there were and which states they left: old, new.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from keyclave.plugin import files
from keyclave.plugin.files import create_private, private_directory, read_private, remove_private, replace_private

OLD, NEW = b"old" * 5000, b"new" * 5000

Operation = Callable[[Path], None]
OPERATIONS: dict[str, tuple[Operation, bytes | None, bytes | None]] = {
    "make_directory": (lambda target: create_private(private_directory(target.parent) / target.name, NEW), None, NEW),
    "create": (lambda target: create_private(target, NEW), None, NEW),
    "replace": (lambda target: replace_private(target, NEW), OLD, NEW),
    "remove": (remove_private, OLD, None),
}


class KillAt:
    """A trace function that kills the process at the n-th line of the module."""

    def __init__(self, n: int) -> None:
        self._left = n

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != files.__file__:
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def is_killed(run: Operation, target: Path, at: int) -> bool:
    child = os.fork()
    if child == 0:
        sys.settrace(KillAt(at))
        run(target)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def content_of(target: Path) -> bytes | None:
    try:
        return read_private(target, limit=20_000)
    except FileNotFoundError:
        return None


def main() -> None:
    operation, scratch = sys.argv[1], private_directory(sys.argv[2])
    run, before, after = OPERATIONS[operation]
    states, kills, killed = set(), 0, True
    while killed:
        target = scratch / str(kills) / "file"
        if operation != "make_directory":
            private_directory(target.parent)
        if before is not None:
            replace_private(target, before)
        killed = is_killed(run, target, kills + 1)
        kills += killed
        found = content_of(target)
        assert found in (before, after), (kills, found)
        states.add("old" if found == before else "new")
        require_repeatable(run, target, found, after)
    sys.stdout.write(" ".join([str(kills), *sorted(states)]))


def require_repeatable(run: Operation, target: Path, found: bytes | None, after: bytes | None) -> None:
    """What was interrupted can be repeated, and a removal leaves nothing at all."""
    if found != after:
        run(target)
    assert content_of(target) == after
    remove_private(target)
    assert list(target.parent.iterdir()) == []


if __name__ == "__main__":
    main()
