"""A proxy on loopback, before a service over HTTP/1.1, that does wrong to the requests that a test chooses."""

from __future__ import annotations

import contextlib
import http.client
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from tests.services.exchanges import Exchange, Request
from tests.services.faults import Fault

__all__ = ["FaultProxy", "running"]

_HOST = "127.0.0.1"

Choice = Callable[[Request], bool]


@dataclass
class _Armed:
    fault: Fault
    choice: Choice
    left: int


class FaultProxy:
    """A proxy that listens.

    Args:
        port: of the service, on loopback.

    Attributes:
        exchanges: all that passed, in the order in which the requests arrived.
    """

    def __init__(self, port: int) -> None:
        self.exchanges: list[Exchange] = []
        self._service = (_HOST, port)
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()
        self._listen(0)

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://{_HOST}:{self._port}"

    def arm(self, fault: Fault, choice: Choice = lambda _: True, times: int = 1) -> None:
        """Let the next requests that are chosen suffer a fault; the others pass, and so do all after them."""
        with self._lock:
            self._armed.append(_Armed(fault, choice, times))

    def disarm(self) -> int:
        """Let all requests pass; return how many faults were left, so that a test sees that its own came."""
        with self._lock:
            left = sum(armed.left for armed in self._armed)
            self._armed.clear()
        return left

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections for a while, on the same port; those that are open are closed."""
        self.stop()
        try:
            yield
        finally:
            self._listen(self._port)

    def stop(self) -> None:
        """Stop listening, and close all connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def _pass(self, exchange: Exchange) -> None:
        """Let an exchange suffer what is meant for it, or go through."""
        with self._lock:
            self.exchanges.append(exchange)
            armed = next((armed for armed in self._armed if armed.left and armed.choice(exchange.request)), None)
            if armed is not None:
                armed.left -= 1
        if armed is None:
            exchange.send(exchange.forward().encode())
        else:
            armed.fault(exchange)

    def _listen(self, port: int) -> None:
        self._server = _Server((_HOST, port), self._service, self._pass)
        self._port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()


class _Server(socketserver.ThreadingTCPServer):
    """Reads requests from its clients until they leave or a fault closes the connection."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], service: tuple[str, int], handle: Callable[[Exchange], None]
    ) -> None:
        super().__init__(address, socketserver.BaseRequestHandler)
        self._service = service
        self._handle = handle
        self._clients: set[socket.socket] = set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread."""
        del client_address
        self._clients.add(request)
        reader = request.makefile("rb")
        with contextlib.suppress(OSError), reader:
            while not reader.closed and (read := _read(reader)) is not None:
                self._handle(Exchange(read, self._service, request, reader))

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection."""
        self._clients.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close all connections."""
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def _read(reader: IO[bytes]) -> Request | None:
    """Return the next request, or None if the client has gone."""
    first = reader.readline().decode("latin-1").split()
    if not first:
        return None
    headers = {name.lower(): value for name, value in http.client.parse_headers(reader).items()}
    body = reader.read(int(headers.get("content-length", "0")))
    return Request(first[0], first[1], headers, body)


@contextlib.contextmanager
def running(port: int) -> Iterator[FaultProxy]:
    """Start a proxy before the service on a port, and stop it at the end."""
    proxy = FaultProxy(port)
    try:
        yield proxy
    finally:
        proxy.stop()
