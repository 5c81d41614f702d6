"""One request over HTTP and its answer, between a client and the service behind a proxy."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

__all__ = ["Answer", "Exchange", "Request"]

_SECONDS = 60
_OF_ONE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    """What a client asks for; the names of headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def encode(self) -> bytes:
        """Return it as bytes, for a connection that serves one request."""
        return _message(f"{self.method} {self.path} HTTP/1.1", [*self.headers.items()], self.body, "close")


@dataclass(frozen=True)
class Answer:
    """What a service answers."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def encode(self) -> bytes:
        """Return it as bytes."""
        reason = http.client.responses.get(self.status, "")
        return _message(f"HTTP/1.1 {self.status} {reason}", self.headers, self.body, "keep-alive")


@dataclass
class Exchange:
    """A request that has arrived at the proxy, and has gone no further.

    Attributes:
        answers: what the service has answered, in the order in which it was asked.
    """

    request: Request
    service: tuple[str, int]
    client: socket.socket
    reader: IO[bytes]
    answers: list[Answer] = field(default_factory=list)

    def forward(self) -> Answer:
        """Send the request to the service, and return its answer."""
        with socket.create_connection(self.service, timeout=_SECONDS) as upstream:
            upstream.sendall(self.request.encode())
            response = http.client.HTTPResponse(upstream, method=self.request.method)
            response.begin()
            answer = Answer(response.status, _lasting(response.getheaders()), response.read())
        self.answers.append(answer)
        return answer

    def forward_half(self) -> None:
        """Send half of the request to the service, and go away."""
        whole = self.request.encode()
        with socket.create_connection(self.service, timeout=_SECONDS) as upstream:
            upstream.sendall(whole[: len(whole) - (len(self.request.body) + 1) // 2])

    def send(self, content: bytes) -> None:
        """Send bytes to the client, which may have gone."""
        with contextlib.suppress(OSError):
            self.client.sendall(content)

    def cut(self) -> None:
        """Reset the connection to the client: what it has not read yet is lost."""
        with contextlib.suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection to the client in order."""
        self.reader.close()
        self.client.close()

    def await_client(self) -> None:
        """Return when the client gives up."""
        with contextlib.suppress(OSError):
            self.client.recv(1)


def _lasting(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers that are not about the connection on which they came."""
    return [(name, value) for name, value in headers if name.lower() not in _OF_ONE_CONNECTION]


def _message(first: str, headers: Sequence[tuple[str, str]], body: bytes, connection: str) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in _lasting(headers))]
    ends = [f"Connection: {connection}", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join([*lines, *ends]).encode("latin-1") + body
