"""Each fault of the proxy, seen from both sides: by a client of HTTP, and by the service behind it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.services import faults
from tests.services.exchanges import Answer
from tests.services.faultproxy import FaultProxy, running

SECONDS = 5


class Echo:
    """A service that answers with the number of the request and its body."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) < int(self.headers["Content-Length"]):
                    return
                echo.heard.append(body)
                self.send_response(200)
                self.send_header("X-Number", str(len(echo.heard)))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    thread = threading.Thread(target=echo.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield echo
    echo.server.shutdown()
    echo.server.server_close()
    thread.join()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with running(echo.server.server_port) as proxy:
        yield proxy


def connection(proxy: FaultProxy, timeout: float = SECONDS) -> http.client.HTTPConnection:
    host, _, port = proxy.endpoint.removeprefix("http://").partition(":")
    return http.client.HTTPConnection(host, int(port), timeout=timeout)


def post(opened: http.client.HTTPConnection, body: bytes) -> tuple[int, str | None, bytes]:
    opened.request("POST", "/", body, {"X-Operation": body.decode()})
    answer = opened.getresponse()
    return answer.status, answer.getheader("X-Number"), answer.read()


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[http.client.HTTPConnection]:
    with closing(connection(proxy)) as opened:
        yield opened


Client = http.client.HTTPConnection


def test_without_a_fault_it_is_not_noticed(echo: Echo, proxy: FaultProxy, client: Client) -> None:
    assert [post(client, body) for body in (b"one", b"two", b"")] == [
        (200, "1", b"one"),
        (200, "2", b"two"),
        (200, "3", b""),
    ]
    assert [exchange.request.body for exchange in proxy.exchanges] == echo.heard
    assert [exchange.answers[0].body for exchange in proxy.exchanges] == echo.heard


@pytest.mark.parametrize(
    ("fault", "heard"),
    [(faults.lost_before, 0), (faults.cut_short, 0), (faults.lost_after, 1)],
)
def test_a_lost_connection_is_reset(
    echo: Echo, proxy: FaultProxy, client: Client, fault: faults.Fault, heard: int
) -> None:
    proxy.arm(fault)
    with pytest.raises(ConnectionResetError):
        post(client, b"body")
    assert len(echo.heard) == heard
    assert proxy.disarm() == 0


@pytest.mark.parametrize(("fault", "heard"), [(faults.unheard, 0), (faults.unanswered, 1)])
def test_silence_lasts_until_the_client_gives_up(
    echo: Echo, proxy: FaultProxy, fault: faults.Fault, heard: int
) -> None:
    proxy.arm(fault)
    with closing(connection(proxy, 0.5)) as client, pytest.raises(TimeoutError):
        post(client, b"body")
    assert len(echo.heard) == heard


def test_a_truncated_answer_ends_too_early(echo: Echo, proxy: FaultProxy, client: Client) -> None:
    proxy.arm(faults.truncated)
    with pytest.raises(http.client.IncompleteRead) as error:
        post(client, b"body")
    assert error.value.partial == b"bod"
    assert echo.heard == [b"body"]


def test_single_bytes_are_an_answer_all_the_same(proxy: FaultProxy, client: Client) -> None:
    proxy.arm(faults.byte_by_byte)
    assert post(client, b"body") == (200, "1", b"body")
    with socket.create_connection(("127.0.0.1", client.port), timeout=SECONDS) as raw:
        proxy.arm(faults.byte_by_byte)
        raw.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
        assert raw.recv(65536).startswith(b"H")


def test_a_delayed_answer_comes(echo: Echo, proxy: FaultProxy, client: Client) -> None:
    proxy.arm(faults.delayed(0.3))
    start = time.monotonic()
    assert post(client, b"body") == (200, "1", b"body")
    assert time.monotonic() - start >= 0.3
    assert echo.heard == [b"body"]


def test_another_answers_in_place_of_the_service(echo: Echo, proxy: FaultProxy, client: Client) -> None:
    proxy.arm(faults.answered(429, b"slow", {"Retry-After": "2"}))
    client.request("POST", "/", b"body")
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Retry-After"), answer.read()) == (429, "2", b"slow")
    assert echo.heard == []
    assert post(client, b"body") == (200, "1", b"body")


def test_the_answer_of_an_earlier_request_is_sent(echo: Echo, proxy: FaultProxy, client: Client) -> None:
    post(client, b"one")
    proxy.arm(faults.misanswered(proxy.exchanges[0].answers[0]))
    assert post(client, b"two") == (200, "1", b"one")
    assert echo.heard == [b"one", b"two"]


def test_a_repeated_answer_waits_for_the_next_request(proxy: FaultProxy) -> None:
    proxy.arm(faults.repeated)
    host, _, port = proxy.endpoint.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
        received = b""
        while received.count(b"body") < 2:
            received += raw.recv(65536)
    assert received[: len(received) // 2] == received[len(received) // 2 :]


def test_a_duplicated_request_is_heard_twice(echo: Echo, proxy: FaultProxy, client: Client) -> None:
    proxy.arm(faults.duplicated)
    assert post(client, b"body") == (200, "2", b"body")
    assert echo.heard == [b"body", b"body"]
    assert [answer.body for answer in proxy.exchanges[0].answers] == [b"body", b"body"]


def test_two_requests_get_each_others_answers(proxy: FaultProxy) -> None:
    proxy.arm(faults.Swapped(), times=2)

    def ask(body: bytes) -> bytes:
        with closing(connection(proxy)) as client:
            return post(client, body)[2]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, (b"one", b"two"))) == [b"two", b"one"]


def test_a_fault_comes_to_the_chosen_requests_as_often_as_it_was_armed(
    echo: Echo, proxy: FaultProxy, client: Client
) -> None:
    proxy.arm(faults.answered(503), lambda request: request.headers["x-operation"] == "bad", times=2)
    assert [post(client, body)[0] for body in (b"good", b"bad", b"good", b"bad", b"bad")] == [200, 503, 200, 503, 200]
    assert echo.heard == [b"good", b"good", b"bad"]
    assert proxy.disarm() == 0
    proxy.arm(faults.answered(500), times=3)
    assert post(client, b"body")[0] == 500
    assert proxy.disarm() == 2
    assert post(client, b"body")[0] == 200


def test_a_service_that_is_away_refuses_and_comes_back(echo: Echo, proxy: FaultProxy, client: Client) -> None:
    post(client, b"one")
    with proxy.away():
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            post(client, b"two")
        with closing(connection(proxy)) as another, pytest.raises(ConnectionRefusedError):
            another.connect()
    with closing(connection(proxy)) as another:
        assert post(another, b"three") == (200, "2", b"three")
    assert echo.heard == [b"one", b"three"]


def test_headers_of_one_connection_are_not_passed_on() -> None:
    encoded = Answer(200, [("Connection", "close"), ("Content-Length", "7"), ("X-Y", "z")], b"body").encode()
    assert encoded == b"HTTP/1.1 200 OK\r\nX-Y: z\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody"
