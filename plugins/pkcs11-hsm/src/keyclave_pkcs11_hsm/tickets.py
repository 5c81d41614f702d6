"""Import tickets: each with an RSA key of its own, for one attempt, for a quarter of an hour."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from keyclave.errors import InvalidArgument
from keyclave.plugin import ImportKeyRequest, ImportTicket

__all__ = ["Tickets"]

K = TypeVar("K")
_LIFETIME = timedelta(minutes=15)
_OPEN = 16


class Tickets(Generic[K]):
    """The open tickets of a backend. Closing it, or ending the process, ends them.

    Args:
        discard: what to do with the private key of a ticket that ends unused.
    """

    def __init__(self, discard: Callable[[K], object]) -> None:
        self._discard = discard
        self._open: dict[str, tuple[ImportTicket, K]] = {}
        self._lock = threading.Lock()

    def issue(self, request: ImportKeyRequest, method: str, spki: bytes, private_key: K) -> ImportTicket:
        """Return a new ticket. Where too many are open, the oldest ends."""
        ticket = ImportTicket(
            ticket_id=secrets.token_hex(16),
            request=request,
            method=method,
            wrapping_public_key=spki,
            expires_at=datetime.now(UTC) + _LIFETIME,
        )
        with self._lock:
            ended = [self._open.pop(next(iter(self._open))) for _ in range(len(self._open) - _OPEN + 1)]
            self._open[ticket.ticket_id] = ticket, private_key
        for _, unused in ended:
            self._discard(unused)
        return ticket

    def take(self, ticket: ImportTicket) -> K:
        """Return the private key of a ticket, which is used up by this, whatever becomes of the import.

        Raises:
            InvalidArgument: the ticket is not one of these, was changed, used before, or is expired.
        """
        with self._lock:
            issued, private_key = self._open.pop(ticket.ticket_id, (None, None))
        if private_key is not None:
            if issued == ticket and datetime.now(UTC) < ticket.expires_at:
                return private_key
            self._discard(private_key)
        raise InvalidArgument(
            "the import ticket is unknown, used or expired", next_step="Begin the import again for a new ticket."
        )

    def clear(self) -> None:
        """End all tickets."""
        with self._lock:
            ended = list(self._open.values())
            self._open.clear()
        for _, unused in ended:
            self._discard(unused)
