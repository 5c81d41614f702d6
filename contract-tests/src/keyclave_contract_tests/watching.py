"""Hear what code does to the world around it: files, processes, libraries and the network.

The interpreter tells it to an audit hook (PEP 578). That cannot be removed, so it belongs into a process of its own.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["PROXY", "Watch"]

PROXY = ("127.0.0.1", 9)
"""A proxy that the environment variables of the process name, and that is not there."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_KINDS = {
    **dict.fromkeys(
        ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"), "changes a directory"
    ),
    **dict.fromkeys(("os.truncate", "os.chmod", "os.chown", "os.utime"), "changes a file"),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"), "starts a process"),
    **dict.fromkeys(("os.putenv", "os.unsetenv"), "changes the environment variables"),
    "builtins.input": "asks the user",
    "ctypes.dlopen": "loads a native library",
}
_NETWORK = frozenset({"socket.connect", "socket.sendto", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"})
_LOCAL_NAMES = ("localhost", ".internal")


class Watch:
    """Hears what is done while it is on, and keeps it, each thing once, as what follows "it".

    Attributes:
        heard: what was done that must not be done.
    """

    def __init__(self) -> None:
        self.heard: dict[str, None] = {}
        self._on = self._probes = False
        sys.addaudithook(self._hear)

    @contextmanager
    def on(self, *, probes: bool = False) -> Iterator[None]:
        """Listen within the block; with ``probes`` fixed addresses nearby may be asked."""
        self._on, self._probes = True, probes
        try:
            yield
        finally:
            self._on = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        found = self._judge(event, arguments)
        if found is not None:
            self.heard[found] = None

    def _judge(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        if event in _NETWORK:
            return _far(event, arguments) if self._probes else "uses the network"
        if event == "open":
            return "writes a file" if _is_written(*arguments) else None
        if event == "ctypes.dlopen" and arguments[0] is None:  # what `ctypes` itself does when it is imported
            return None
        return _KINDS.get(event)


def _is_written(path: object, mode: object, flags: int) -> bool:
    return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path) != os.devnull and bool(flags & _WRITES)


def _far(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what is wrong with where a probe goes: only fixed addresses that no router forwards are right."""
    if event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        return _by_name(arguments[0])
    address = arguments[1]
    if not isinstance(address, tuple):
        return None  # a socket of this machine
    if address[:2] == PROXY:
        return "goes through the proxy"
    return _by_name(address[0])


def _by_name(host: object) -> str | None:
    if host is None:
        return None
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None if name.endswith(_LOCAL_NAMES) else "looks up a name, where a fixed address is due"
    return "asks an address on the internet" if address.is_global else None
