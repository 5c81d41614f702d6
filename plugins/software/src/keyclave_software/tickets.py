"""Import tickets: each with an RSA key of its own that lives in memory, for one attempt, for a quarter of an hour."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from keyclave.crypto.wrapping import METHODS, generate_wrapping_key, oaep_of
from keyclave.errors import InvalidArgument
from keyclave.plugin import ImportKeyRequest, ImportTicket

from keyclave_software.limits import OPEN_TICKETS

__all__ = ["LIFETIME", "Tickets"]

LIFETIME = timedelta(minutes=15)
"""How long a ticket is good for."""


class Tickets:
    """The open tickets of a backend. Closing it, or ending the process, ends them."""

    def __init__(self, lifetime: timedelta = LIFETIME) -> None:
        self._lifetime = lifetime
        self._open: dict[str, tuple[ImportTicket, rsa.RSAPrivateKey]] = {}
        self._lock = threading.Lock()

    def issue(self, request: ImportKeyRequest) -> ImportTicket:
        """Return a new ticket for one import. Where too many are open, the oldest ends.

        Raises:
            CapabilityUnsupported: the request asks for a method that is unknown here.
        """
        method = request.method or METHODS[0]
        oaep_of(method)
        wrapping_key = self._new_wrapping_key()
        ticket = ImportTicket(
            ticket_id=secrets.token_hex(16),
            request=request,
            method=method,
            wrapping_public_key=wrapping_key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            expires_at=datetime.now(UTC) + self._lifetime,
        )
        with self._lock:
            while len(self._open) >= OPEN_TICKETS:
                del self._open[next(iter(self._open))]
            self._open[ticket.ticket_id] = ticket, wrapping_key
        return ticket

    def _new_wrapping_key(self) -> rsa.RSAPrivateKey:
        return generate_wrapping_key()

    def take(self, ticket: ImportTicket) -> rsa.RSAPrivateKey:
        """Return the private key of a ticket, which is used up by this, whatever becomes of the import.

        Raises:
            InvalidArgument: the ticket is not one of these, was changed, used before, or is expired.
        """
        with self._lock:
            issued, wrapping_key = self._open.pop(ticket.ticket_id, (None, None))
        if wrapping_key is None or issued != ticket or datetime.now(UTC) >= ticket.expires_at:
            raise InvalidArgument(
                "the import ticket is unknown, used or expired", next_step="Begin the import again for a new ticket."
            )
        return wrapping_key

    def clear(self) -> None:
        """End all tickets."""
        with self._lock:
            self._open.clear()
