"""Import tickets: each with an empty key in AWS KMS and the token to fill it, for one attempt."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime

from keyclave.errors import InvalidArgument
from keyclave.plugin import ImportTicket, Record

__all__ = ["EmptyKey", "Tickets", "new_ticket_id", "refused_ticket"]


class EmptyKey(Record, frozen=True, kw_only=True):
    """A key without material.

    Attributes:
        arn: its address.
        token: what AWS wants back with the material.
        begun: whether an earlier creation or import of its label was not finished.
    """

    arn: str
    token: bytes
    begun: bool

    def __repr__(self) -> str:
        return f"EmptyKey(arn={self.arn!r}, token=<{len(self.token)} bytes>)"


def new_ticket_id() -> str:
    """Return a name for a ticket."""
    return secrets.token_hex(16)


class Tickets:
    """The open tickets of a backend."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[ImportTicket, EmptyKey]] = {}
        self._lock = threading.Lock()

    def issue(self, ticket: ImportTicket, key: EmptyKey) -> ImportTicket:
        """Keep a ticket, and return it."""
        with self._lock:
            self._open[ticket.ticket_id] = ticket, key
        return ticket

    def take(self, ticket: ImportTicket) -> tuple[EmptyKey, bool]:
        """Return the empty key of a ticket, which is used up by this, and whether the ticket is good.

        Raises:
            InvalidArgument: it is unknown, or was used before.
        """
        with self._lock:
            issued, key = self._open.pop(ticket.ticket_id, (None, None))
        if key is None:
            raise refused_ticket()
        return key, issued == ticket and datetime.now(UTC) < ticket.expires_at

    def keys(self) -> frozenset[str]:
        """Return the addresses of the empty keys."""
        with self._lock:
            return frozenset(key.arn for _, key in self._open.values())

    def clear(self) -> list[tuple[ImportTicket, EmptyKey]]:
        """End all tickets; return them with their empty keys."""
        with self._lock:
            ended = list(self._open.values())
            self._open.clear()
        return ended


def refused_ticket() -> InvalidArgument:
    """Return the error for a ticket that is no good."""
    return InvalidArgument(
        "the import ticket is unknown, used or expired", next_step="Begin the import again for a new ticket."
    )
