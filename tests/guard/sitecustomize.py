"""Refuse connections outside loopback in every Python process of the tests, and note them in a file.

Python imports a module of this name when it starts, wherever it finds one; the tests put this directory on its path.
A process that is started without their environment variables, or is not Python, is not seen.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

NOTES = "TESTS_CONNECTIONS_OUTSIDE"
"""The variable with the file that the connections are noted in. Without it, nothing is refused."""


def is_outside(host: object) -> bool:
    """Return whether an address, or a name, is not this machine's own."""
    if not isinstance(host, str):
        return False
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host not in {"localhost", ""}
    mapped = getattr(address, "ipv4_mapped", None)
    return not ((mapped or address).is_loopback or address.is_unspecified)


def _refuse(connecting: socket.socket, address: object, *, sends: bool) -> None:
    datagram = connecting.type == socket.SOCK_DGRAM and not sends  # to connect one sends nothing
    if datagram or not isinstance(address, tuple) or not is_outside(address[0]) or NOTES not in os.environ:
        return
    with open(os.environ[NOTES], "a") as notes:  # noqa: PTH123  pathlib would be imported by every process
        notes.write(f"{address[0]} port {address[1]}, from {sys.argv[0] or 'Python'}\n")
    raise ConnectionRefusedError(f"tests connect to loopback only, and not to {address[0]}")


def _guarded(name: str, *, sends: bool = False) -> Callable[..., Any]:
    """Return a method of sockets that looks at the address, which is its last argument, first.

    An audit hook would see more, but in Python 3.11 a thread that starts while one runs cannot be traced.
    """
    real = getattr(socket.socket, name)

    def method(self: socket.socket, *arguments: Any) -> Any:
        _refuse(self, arguments[-1] if arguments else None, sends=sends)
        return real(self, *arguments)

    return method


for _name in ("connect", "connect_ex"):
    setattr(socket.socket, _name, _guarded(_name))
setattr(socket.socket, "sendto", _guarded("sendto", sends=True))  # noqa: B010  as above
