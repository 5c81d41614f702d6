"""A source of credentials on loopback: it answers each path with JSON, or with a status, and keeps what was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Source", "credentials", "running"]


@dataclass
class Source:
    """What it answers.

    Attributes:
        answers: by method and path: text, a record, a status, or a status with text.
        asked: method, path and Authorization of each request.
        url: where it is.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


def credentials(access_key: str) -> dict[str, str]:
    """Return a record of credentials that are good for long."""
    return {
        "Code": "Success",
        "AccessKeyId": access_key,
        "SecretAccessKey": "none",
        "Token": "token",
        "Expiration": "2099-01-01T00:00:00Z",
    }


@contextlib.contextmanager
def running() -> Iterator[Source]:
    """Start it, and stop it at the end."""
    source = Source()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked = f"{self.command} {self.path}"
            source.asked.append((asked, self.headers.get("Authorization")))
            answer = source.answers.get(asked, 404)
            if isinstance(answer, int):
                answer = answer, ""
            status, said = answer if isinstance(answer, tuple) else (200, answer)
            body = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = _answer  # noqa: N815  names of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        source.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield source
        finally:
            server.shutdown()
            thread.join()
