"""What a process holds is counted, and what grows in every round is told from what grew once."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import pytest
from keyclave_contract_tests.held import Held, grown, now
from msgspec import structs

START = Held(files=9, threads=1, objects=50_000, native=1_000_000)
TIMES = 40


def rounds(**growth: int) -> list[Held]:
    """Return what is held after four rounds, with so much more after each of them."""
    held = [START]
    for _ in range(3):
        more = {name: getattr(held[-1], name) + by for name, by in growth.items()}
        held.append(structs.replace(held[-1], **more))
    return held


@pytest.mark.parametrize(
    ("growth", "found"),
    [
        ({"files": 4}, ["4 more open files"]),
        ({"threads": 40}, ["40 more threads"]),
        ({"objects": 40}, ["40 more objects in memory"]),
        ({"native": 12_000}, ["12000 more bytes in native code"]),
        ({"files": 40, "objects": 80}, ["40 more open files", "80 more objects in memory"]),
    ],
)
def test_what_grows_with_every_round_is_told(growth: dict[str, int], found: list[str]) -> None:
    assert grown(rounds(**growth), TIMES) == found


@pytest.mark.parametrize("growth", [{"files": 3}, {"objects": 20}, {"native": 4_000}, {"files": -1}])
def test_a_little_is_no_growth(growth: dict[str, int]) -> None:
    assert grown(rounds(**growth), TIMES) == []


def test_of_few_uses_native_code_may_keep_anything() -> None:
    assert grown(rounds(native=99_000), TIMES // 2) == []


def test_what_grew_once_is_no_growth() -> None:
    filled = structs.replace(START, files=99, threads=99, objects=99_999, native=9_999_999)
    assert grown([START, START, filled, filled], TIMES) == []


def test_what_this_process_holds_is_counted(tmp_path: Path) -> None:
    enough, before = threading.Event(), now()
    waiting = threading.Thread(target=enough.wait)
    waiting.start()
    with (tmp_path / "file").open("w"):
        kept = [[number] for number in range(1000)]
        library = ctypes.CDLL(None)
        library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        block = library.malloc(1 << 20)
        after = now()
        library.free(block)
    enough.set()
    waiting.join()
    assert len(kept) == 1000
    assert after.files - before.files == 1
    assert after.threads - before.threads == 1
    assert after.objects - before.objects >= 1000
    if "CS_GNU_LIBC_VERSION" in os.confstr_names:
        assert after.native - before.native >= 1 << 20
