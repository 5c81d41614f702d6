"""What can go wrong between a client and a service over HTTP: each fault does its own to one exchange.

For the client most of them look alike. What the service has done differs: nothing after ``lost_before``,
``cut_short``, ``unheard`` and ``answered``, its work after all others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from tests.services.exchanges import Answer, Exchange

__all__ = [
    "Fault",
    "Swapped",
    "answered",
    "byte_by_byte",
    "cut_short",
    "delayed",
    "duplicated",
    "lost_after",
    "lost_before",
    "misanswered",
    "repeated",
    "truncated",
    "unanswered",
    "unheard",
]

Fault = Callable[[Exchange], None]

_PARTNER_SECONDS = 30


def lost_before(exchange: Exchange) -> None:
    """Reset the connection before the service hears of the request."""
    exchange.cut()


def cut_short(exchange: Exchange) -> None:
    """Reset both connections while the request is on its way: the service gets half of it."""
    exchange.forward_half()
    exchange.cut()


def lost_after(exchange: Exchange) -> None:
    """Reset the connection after the service did its work: the answer is lost."""
    exchange.forward()
    exchange.cut()


def unheard(exchange: Exchange) -> None:
    """Say nothing until the client gives up; the service never hears of the request."""
    exchange.await_client()


def unanswered(exchange: Exchange) -> None:
    """Say nothing until the client gives up, although the service did its work."""
    exchange.forward()
    exchange.await_client()


def truncated(exchange: Exchange) -> None:
    """Send all but the last byte of the answer, and close the connection."""
    exchange.send(exchange.forward().encode()[:-1])
    exchange.close()


def byte_by_byte(exchange: Exchange) -> None:
    """Send the answer in pieces of one byte."""
    for byte in exchange.forward().encode():
        exchange.send(bytes([byte]))


def delayed(seconds: float) -> Fault:
    """Hold the answer back."""

    def fault(exchange: Exchange) -> None:
        answer = exchange.forward()
        time.sleep(seconds)
        exchange.send(answer.encode())

    return fault


def answered(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Fault:
    """Answer in place of the service, as a load balancer or a throttle before it does."""
    return lambda exchange: exchange.send(Answer(status, list((headers or {}).items()), body).encode())


def misanswered(other: Answer) -> Fault:
    """Let the service do its work, and send the answer to an earlier request."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        exchange.send(other.encode())

    return fault


def repeated(exchange: Exchange) -> None:
    """Send the answer twice: the second one waits for the next request on this connection."""
    exchange.send(exchange.forward().encode() * 2)


def duplicated(exchange: Exchange) -> None:
    """Let the service get the request twice, and send its second answer."""
    exchange.forward()
    exchange.send(exchange.forward().encode())


class Swapped:
    """Give each of two requests that are under way together the answer of the other."""

    def __init__(self) -> None:
        self._both = threading.Barrier(2)
        self._exchanges: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        """Wait for the other request, and send its answer."""
        exchange.forward()
        self._exchanges.append(exchange)
        self._both.wait(_PARTNER_SECONDS)
        one, two = self._exchanges
        exchange.send((two if exchange is one else one).answers[0].encode())
