"""What a process holds, and what it comes to hold by using a key over and over.

It is counted in a process that does nothing else, where the counts of a right backend stand still.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

from keyclave.plugin import KeyLabel, KeyReference, Record

from keyclave_contract_tests.subject import Subject

__all__ = ["ENOUGH", "ROUNDS", "Held", "Use", "grown", "held_by_using", "now"]

ROUNDS = 4
"""In the first one caches are filled and connections opened; what is lost grows in each of the others."""
_NATIVE, _BLOCK = 150, 2048
"""Bytes that native code may keep of each use, and besides: of `ENOUGH` uses and more, right libraries were seen to
keep 100 of each; a session takes 300."""
ENOUGH = 30
"""Of fewer uses, what native code keeps cannot be told from what it would keep once."""
_FEW = 3
_NAMES = {
    "files": "open files",
    "threads": "threads",
    "objects": "objects in memory",
    "native": "bytes in native code",
}


class Use(Record, frozen=True, kw_only=True):
    """What is done with a key, which is made for it.

    Attributes:
        label: of the key.
        algorithm: of the key.
        scheme: what it signs with; ``None`` for a key that does not sign.
        data: what is signed or encrypted.
        missing: the label of no key.
    """

    label: KeyLabel
    algorithm: str
    scheme: str | None
    data: bytes
    missing: KeyLabel


class Held(Record, frozen=True, kw_only=True):
    """What this process holds, as far as the system says.

    Attributes:
        files: open files, sockets among them.
        threads: threads, those of native code among them where the system says.
        objects: Python objects that can hold others.
        native: bytes that native code has allocated; 0 where the C library does not say.
    """

    files: int
    threads: int
    objects: int
    native: int


def held_by_using(subject: Subject, use: Use, times: int) -> list[Held]:
    """Use a key so many times in each round, rightly and wrongly, and return what was held after each round.

    The key is made here, and destroyed at the end: a backend that keeps its keys in memory has no others.
    """
    key = subject.create_key(use.label, use.algorithm).reference
    held = []
    for _ in range(ROUNDS):
        for _ in range(times):
            _once(subject, key, use)
        held.append(now())
    if subject.has("destroy_key"):
        subject.destroy_key(key)
    return held


def grown(held: list[Held], times: int) -> list[str]:
    """Return what grew in every round but the first, in words, with by how much it grew at least."""
    most = Held(
        files=_FEW,
        threads=_FEW,
        objects=times // 2,
        native=_NATIVE * times + _BLOCK if times >= ENOUGH else sys.maxsize,
    )
    found = []
    for name, what in _NAMES.items():
        counts = [getattr(one, name) for one in held]
        growth = min(later - earlier for earlier, later in pairwise(counts))
        if growth > getattr(most, name):
            found.append(f"{growth} more {what}")
    return found


def _once(subject: Subject, key: KeyReference, use: Use) -> None:
    if use.scheme is not None:
        subject.sign(key, use.data, use.scheme)
    elif subject.has("encrypt") and subject.has("decrypt"):
        subject.decrypt(key, subject.encrypt(key, use.data))
    subject.find_key(key.label)
    mistakes = (partial(subject.find_key, use.missing), partial(subject.sign, key, use.data, "NO_SUCH_SCHEME"))
    for mistake in mistakes:
        with suppress(Exception):  # how it is refused is for other checks to see
            mistake()


def now() -> Held:
    """Return what this process holds now."""
    gc.collect()
    tasks = _entries("/proc/self/task")
    return Held(
        files=_entries("/dev/fd") or 0,
        threads=threading.active_count() if tasks is None else tasks,
        objects=len(gc.get_objects()),
        native=_allocated()(),
    )


def _entries(directory: str) -> int | None:
    try:
        return sum(1 for _ in Path(directory).iterdir())
    except OSError:
        return None


class _Mallinfo2(ctypes.Structure):
    """The ``struct mallinfo2`` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


@cache
def _allocated() -> Callable[[], int]:
    """Return what tells how many bytes `malloc` has given away; glibc says it from 2.33 on."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None) if os.name == "posix" else None
    if mallinfo2 is None:
        return lambda: 0
    mallinfo2.restype = _Mallinfo2

    def allocated() -> int:
        found = mallinfo2()
        return int(found.uordblks + found.hblkhd)

    return allocated
