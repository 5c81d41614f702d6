"""Ask the metadata server of a cloud.

Azure, AWS and Google have theirs at one address, so that nothing but the shape of an answer says whose it is. The
address is fixed and is not looked up. No proxy is used, no redirect followed, no answer read beyond its limit, and
the whole exchange has one deadline, which a byte now and then does not move.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyclave.plugin.records import Host, Record

if TYPE_CHECKING:
    from http.client import HTTPResponse

__all__ = ["ADDRESS", "Answer", "Probe"]

ADDRESS = ("169.254.169.254", 80)
_LONGEST_BODY = 64 * 1024
_SHARE = 0.8
"""How much of its time a detector waits for answers, so that it can still say what it saw."""


class Answer(Record, frozen=True, kw_only=True):
    """What a server answered.

    Attributes:
        status: the status code.
        headers: by name in lower case.
        body: empty where it is longer than 64 KiB.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def text(self) -> str:
        """Return the body as text, or an empty one where it is none."""
        try:
            return self.body.decode().strip()
        except UnicodeDecodeError:
            return ""


class Probe:
    """Asks several questions within the time that a detector has."""

    def __init__(self, host: Host) -> None:
        self._end = time.monotonic() + host.timeout * _SHARE

    def ask(self, method: str, path: str, headers: Mapping[str, str], *, share: float = 1.0) -> Answer | None:
        """Return the answer to one request, or ``None`` where there is none in time, or none that is HTTP.

        Args:
            method: GET or PUT.
            path: what is asked for.
            headers: those that the cloud requires.
            share: how much of the time that is left this request may take.
        """
        from http.client import HTTPConnection, HTTPException  # noqa: PLC0415  opening does not need it

        now = time.monotonic()
        deadline = now + (self._end - now) * share
        try:
            with socket.create_connection(ADDRESS, _left(deadline)) as connected:
                connection = HTTPConnection(*ADDRESS)
                connection.sock = _Bounded(connected, deadline)
                connection.request(method, path, headers=dict(headers))
                return _read(connection.getresponse())
        except (OSError, HTTPException, ValueError):
            return None


def _read(response: HTTPResponse) -> Answer:
    body = response.read(_LONGEST_BODY + 1)
    return Answer(
        status=response.status,
        headers={name.lower(): value for name, value in response.getheaders()},
        body=body if len(body) <= _LONGEST_BODY else b"",
    )


class _Bounded:
    """What `http.client` uses of a connected socket, with one deadline for all of it."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket.sendall(data)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._socket, self._deadline))

    def close(self) -> None:
        """Leave it to whoever opened it."""


class _Incoming(io.RawIOBase):
    """The bytes that come in before the deadline."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        super().__init__()
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)


def _left(deadline: float) -> float:
    """Return the seconds until the deadline.

    Raises:
        TimeoutError: there are none.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
