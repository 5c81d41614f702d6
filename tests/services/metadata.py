"""Metadata servers of the tests' own, on loopback: those of Google and Azure as documented, and servers that lie.

What Google's and Azure's say is shown by their own clients, which get a token from them. For AWS there are emulators.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

__all__ = ["INSTANCE_ID", "LIARS", "SERVERS", "TOKEN", "Handler", "served"]

TOKEN = "canary-token"
INSTANCE_ID = "i-0123456789abcdef0"
_COMPUTE = {
    "azEnvironment": "AzurePublicCloud",
    "location": "westeurope",
    "name": "examplevm",
    "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
}
_LISTING = b"0.1/\ncomputeMetadata/\n"
_BIG = 10 * 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    """One request. The function that answers it is the server's."""

    server: _Server

    def _answer(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.server.asked.append((self.command, self.path, dict(self.headers)))
            self.server.answer(self)

    do_GET = do_PUT = _answer  # noqa: N815  the names are the library's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the signature is the library's
        """Say nothing."""

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send an answer; underscores in the names of headers stand for hyphens."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def say_json(self, status: int, content: object) -> None:
        self.say(status, json.dumps(content).encode(), Content_Type="application/json; charset=utf-8")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], answer: Callable[[Handler], None]) -> None:
        super().__init__(address, Handler)
        self.answer = answer
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error of the tests."""


@contextlib.contextmanager
def served(answer: Callable[[Handler], None], address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[_Server]:
    """Serve until the end of the block. What was asked is in ``asked``, where it listens in ``server_address``."""
    server = _Server(address, answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def azure(request: Handler) -> None:
    """Azure Instance Metadata Service: the header, the version, and refusing what was forwarded."""
    url = urlsplit(request.path)
    query = parse_qs(url.query)
    if (
        request.headers.get("Metadata") != "true"
        or "X-Forwarded-For" in request.headers
        or "api-version" not in query
    ):
        request.say_json(400, {"error": "Bad request. api-version was not specified, or a header is wrong."})
    elif url.path == "/metadata/instance/compute":
        request.say_json(200, _COMPUTE)
    elif url.path == "/metadata/identity/oauth2/token" and "resource" in query:
        expires = int(time.time()) + 86400
        token = {"access_token": TOKEN, "expires_in": "86399", "expires_on": str(expires), "token_type": "Bearer"}
        request.say_json(200, {**token, "resource": query["resource"][0]})
    else:
        request.say_json(404, {"error": "Not found"})


def gcp(request: Handler) -> None:
    """Compute Engine's metadata server: the flavor of requests and of answers."""
    url = urlsplit(request.path)
    account = "/computeMetadata/v1/instance/service-accounts/default/"
    email = "signer@example.iam.gserviceaccount.com"
    texts = {"/": _LISTING, "/computeMetadata/v1/project/project-id": b"example"}
    documents: Mapping[str, object] = {
        account: {
            "aliases": ["default"],
            "email": email,
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        },
        f"{account}token": {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"},
    }
    flavor = {"Metadata_Flavor": "Google", "Server": "Metadata Server for VM"}
    if request.headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in request.headers:
        request.say(403, b"Missing required header", **flavor)
    elif url.path in texts:
        request.say(200, texts[url.path], Content_Type="application/text", **flavor)
    elif url.path in documents:
        body = json.dumps(documents[url.path]).encode()
        request.say(200, body, Content_Type="application/json", **flavor)
    else:
        request.say(404, b"", **flavor)


def aws_without_token(request: Handler) -> None:
    """EC2 whose instance allows requests without a token, and whose tokens do not get here."""
    if request.command == "PUT":
        time.sleep(30)
    else:
        request.say(200, INSTANCE_ID.encode(), Server="EC2ws", Content_Type="text/plain")


def aws_hop_limit(request: Handler) -> None:
    """EC2 whose instance wants tokens, which do not get here."""
    if request.command == "PUT":
        time.sleep(30)
    else:
        request.say(401, b"", Server="EC2ws")


SERVERS: Mapping[str, Callable[[Handler], None]] = {
    "azure": azure,
    "gcp": gcp,
    "aws-without-token": aws_without_token,
    "aws-hop-limit": aws_hop_limit,
}
"""Servers of clouds."""


def _wrong_paths(request: Handler) -> None:
    """What every cloud says, where another one says it."""
    if request.command == "PUT":
        request.say(200, _LISTING)
    elif request.path.startswith("/metadata/"):
        request.say(200, INSTANCE_ID.encode(), Metadata_Flavor="Google")
    else:
        request.say_json(200, _COMPUTE)


def _portal(request: Handler) -> None:
    request.say(200, b"<html>computeMetadata/ Please log in to the network</html>", Content_Type="text/html")


def _flavored_portal(request: Handler) -> None:
    request.say(200, b"<html>Please log in</html>", Metadata_Flavor="Google", Content_Type="text/html")


def _redirect(request: Handler) -> None:
    request.say(302, b"", Location=f"http://127.0.0.1:1{request.path}", Metadata_Flavor="Google")


def _big(request: Handler) -> None:
    request.say(200, _LISTING + b"x" * _BIG, Metadata_Flavor="Google")


def _listing(request: Handler) -> None:
    request.say(200, _LISTING)


def _other_document(request: Handler) -> None:
    request.say_json(200, {**_COMPUTE, "azEnvironment": "AcmeCloud"})


def _other_machine(request: Handler) -> None:
    request.say_json(200, {**_COMPUTE, "vmId": "example"})


def _nested(request: Handler) -> None:
    request.say(200, b'{"azEnvironment": ' + b"[" * 20000, Metadata_Flavor="Google")


def _drip(request: Handler) -> None:
    """A true answer, a byte a second."""
    head = b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 22\r\n\r\n"
    for byte in head + _LISTING:
        request.wfile.write(bytes([byte]))
        time.sleep(1)


def _dripping_body(request: Handler) -> None:
    request.send_response(200)
    request.send_header("Metadata-Flavor", "Google")
    request.end_headers()
    for byte in _LISTING:
        request.wfile.write(bytes([byte]))
        time.sleep(1)


def _silent(_: Handler) -> None:
    time.sleep(30)


def _garbage(request: Handler) -> None:
    request.wfile.write(b"\x00\xff SSH-2.0-nothing\r\n" * 1000)


def _hangs_up(request: Handler) -> None:
    request.close_connection = True


LIARS: Mapping[str, Callable[[Handler], None]] = {
    "wrong paths": _wrong_paths,
    "Google's listing without its flavor": _listing,
    "Azure's document of another cloud": _other_document,
    "Azure's document of no machine": _other_machine,
    "captive portal": _portal,
    "captive portal with Google's flavor": _flavored_portal,
    "redirect": _redirect,
    "10 MB": _big,
    "nested": _nested,
    "a byte a second": _drip,
    "a body of a byte a second": _dripping_body,
    "silence": _silent,
    "no HTTP": _garbage,
    "hangs up": _hangs_up,
}
"""Servers of no cloud."""
