"""The KMS for tests over HTTP, on loopback, in threads of the test's own process."""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.services.kms.service import Kms

__all__ = ["Running", "running"]


@dataclass(frozen=True)
class Running:
    """A service that listens."""

    kms: Kms
    port: int
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running(certificate: Path | None = None) -> Iterator[Running]:
    """Start a service without keys, and stop it at the end; over TLS with a file that has certificate and key."""
    kms = Kms()
    with _Server(("127.0.0.1", 0), _handler(kms)) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Running(kms, server.server_port, "http" if certificate is None else "https")
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    block_on_close = False  # a client may keep its connection open for longer than the test

    def handle_error(self, request: object, client_address: object) -> None:
        """Report what went wrong, but not a client that did not wait for its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler(kms: Kms) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one segment for an answer: headers and body apart would wait for each other
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length)
            if len(body) < length:  # the client left in the middle of it
                self.close_connection = True
                return
            reply = kms.reply(self.headers.get("X-Amz-Target", ""), self.headers.get("Authorization", ""), body)
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the calls are recorded."""

    return Handler
