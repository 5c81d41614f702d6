"""The module that stands between Keyclave and SoftHSM2, and how the tests make it fail; see ``proxy.c``."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

__all__ = ["EVERY_CALL", "Proxy", "build"]

_SOURCE = Path(__file__).with_name("proxy.c")
EVERY_CALL = 1_000_000_000
_KILL = 2 ** (8 * ctypes.sizeof(ctypes.c_ulong)) - 1


def build(directory: Path) -> Path:
    """Compile the module, and return its path."""
    module = directory / "proxy.so"
    flags = ("-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-pthread")
    subprocess.run(["cc", *flags, "-I/usr/include/p11-kit-1", "-o", module, _SOURCE, "-ldl"], check=True)
    return module


class Proxy:
    """The module, as it is loaded in this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = ctypes.CDLL(str(path))

    def answer(self, function: str, ckr: int, *, first: int = 1, times: int = 1, after: bool = False) -> None:
        """Answer calls of a function with a CKR; with ``after``, once the token did what it was asked for."""
        self._library.proxy_answer(
            function.encode(), ctypes.c_ulong(ckr), ctypes.c_long(first), ctypes.c_long(times), int(after)
        )

    def kill(self, function: str, *, first: int, after: bool) -> None:
        """Kill the process at a call of a function."""
        self.answer(function, _KILL, first=first, after=after)

    def hang(self, function: str) -> None:
        """Let the next call of a function hang until `reset`."""
        self._library.proxy_hang(function.encode())

    def calls(self, function: str) -> int:
        """Return how often a function was called since `reset`."""
        self._library.proxy_calls.restype = ctypes.c_long
        return int(self._library.proxy_calls(function.encode()))

    def swap(self, one: int, other: int) -> None:
        """Let two keys sign in place of each other, by their handles."""
        self._library.proxy_swap(ctypes.c_ulong(one), ctypes.c_ulong(other))

    def swap_all(self) -> None:
        """Let the key that signed last sign in place of every other one."""
        self._library.proxy_swap_all(1)

    def remove(self, *, out: bool = True) -> None:
        """Take the token out, or put it in again."""
        self._library.proxy_remove(int(out))

    def flags(self, *, token: int = 0, slot: int = 0, mechanism: int = 0) -> None:
        """Add flags to what token, slot and mechanisms say."""
        self._library.proxy_flags(ctypes.c_ulong(token), ctypes.c_ulong(slot), ctypes.c_ulong(mechanism))

    def one_call(self, flags: int, *, works: bool = True) -> None:
        """List CKM_RSA_AES_KEY_WRAP with these flags; where it works, the token has no AES-KWP."""
        self._library.proxy_one_call(ctypes.c_ulong(flags), int(works))

    def readable(self) -> None:
        """Unwrap every key as a readable one, whatever the template says, as opencryptoki does."""
        self._library.proxy_readable()

    def names(self, manufacturer: str, model: str, library: str) -> None:
        """Give token, slot and module other names."""
        self._library.proxy_names(manufacturer.encode(), model.encode(), library.encode())

    def reset(self) -> None:
        """Do nothing from now on but forward."""
        self._library.proxy_reset()
