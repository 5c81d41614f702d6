"""Carry one key from one backend to another, wrapped under a key of its next home (FR-012).

First `begin_transfer`, then `carry`. Between the two, and inside `carry` between wrapping and importing, the caller
makes durable what a recovery must know. What is at the destination after a failure is found by the label of the
ticket, and is the caller's to remove; the source is not changed by anything here.

How an approval is bound to the wrapping key: a destination makes a new one for each ticket, and keeps its private
half, so that none can be named when somebody approves. An approval therefore covers `wrapping_key_origin`: that the
key comes from this backend, at this address and of this level, for this method, and from no other place.
`carry` refuses a ticket of any other origin before anything is wrapped, and the caller records `wrapping_key_hash`
beside the approval, so that which key it was can be told later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from keyclave.backends.backend import Backend
from keyclave.backends.failures import bare
from keyclave.crypto.wrapping import load_wrapping_key
from keyclave.errors import IntegrityError, InvalidArgument, KeyclaveError
from keyclave.plugin import CreatedKey, ImportKeyRequest, ImportTicket, KeyLabel, KeyReference, Record

__all__ = ["Carried", "begin_transfer", "carry", "wrapping_key_hash", "wrapping_key_origin"]

_UNTOUCHED = "The source keeps the key as it was; the migration can be run again once you know why."


class Carried(Record, frozen=True, kw_only=True):
    """A key that arrived.

    Attributes:
        created: the key at the destination.
        integrity_hash: SHA-256 of the wrapped key, 64 lower case hexadecimal digits.
    """

    created: CreatedKey
    integrity_hash: str


def wrapping_key_origin(destination: Backend, algorithm: str, method: str) -> str:
    """Return what an approval is bound to in place of the wrapping key: SHA-256, 64 hexadecimal digits.

    Args:
        destination: the backend that makes the wrapping key.
        algorithm: of the key that is to move.
        method: how it is to be wrapped.
    """
    described = destination.description
    origin = {
        "algorithm": algorithm,
        "backend_id": destination.id,
        "connection_uri": described.connection_uri,
        "method": method,
        "provider_type": destination.provider_type,
        "security_level": described.security_level.value,
    }
    return hashlib.sha256(msgspec.json.encode(origin, order="sorted")).hexdigest()


def wrapping_key_hash(ticket: ImportTicket) -> str:
    """Return SHA-256 of a ticket's wrapping key (DER SubjectPublicKeyInfo), 64 hexadecimal digits."""
    return hashlib.sha256(ticket.wrapping_public_key).hexdigest()


def begin_transfer(
    destination: Backend, label: KeyLabel, algorithm: str, method: str, *, exportable: bool = False
) -> ImportTicket:
    """Return a ticket for one key, whose wrapping key is RSA of 3072 bits or more.

    Args:
        destination: where the key is to go.
        label: under which it is kept there.
        algorithm: its algorithm.
        method: how it will be wrapped.
        exportable: whether it may be wrapped there again, and move on.

    Raises:
        CapabilityUnsupported: the destination takes no such key.
        IntegrityError: it answered with a ticket for another method, or with a wrapping key that is no good.
        OutcomeUnknown: no answer came.
    """
    ticket = destination.begin_import(
        ImportKeyRequest(label=label, algorithm=algorithm, exportable=exportable, method=method)
    )
    try:
        load_wrapping_key(ticket.wrapping_public_key)
    except InvalidArgument as error:
        problem = error.message
    else:
        if ticket.method == method:
            return ticket
        problem = f"it wants the key wrapped by {ticket.method}, not by {method}"
    raise IntegrityError(problem, operation="begin_import", backend_id=destination.id, next_step=_UNTOUCHED)


def carry(
    source: Backend,
    destination: Backend,
    key: KeyReference,
    public_key: bytes | None,
    ticket: ImportTicket,
    *,
    approved_origin: str,
    keep_hash: Callable[[str], object],
) -> Carried:
    """Wrap a key at the source, import it at the destination, and see that it is the one that arrived.

    The wrapped key is in the memory of this process from one call to the next, and nowhere else.

    Args:
        source: the backend that keeps the key.
        destination: the backend that made the ticket.
        key: the key at the source.
        public_key: its recorded public key, DER SubjectPublicKeyInfo; ``None`` for a symmetric key.
        ticket: what `begin_transfer` returned.
        approved_origin: the `wrapping_key_origin` that was approved.
        keep_hash: makes SHA-256 of the wrapped key durable, before it is imported.

    Raises:
        InvalidArgument: the ticket is expired, used or of another origin than approved; or the destination does not
            take the wrapped key.
        CapabilityUnsupported: the source does not release the key.
        IntegrityError: another key arrived, or the wrapped key changed on its way.
        OutcomeUnknown: it may have arrived: look for the label of the ticket.
        KeyclaveError: what else the backends and ``keep_hash`` raise.
    """
    _require_good(ticket, key, destination, approved_origin)
    outcome = _handed_over(source, destination, key, ticket, keep_hash)
    if isinstance(outcome, KeyclaveError):
        raise outcome
    _require_arrived(destination, outcome.created, public_key)
    return outcome


def _require_good(ticket: ImportTicket, key: KeyReference, destination: Backend, approved_origin: str) -> None:
    """Refuse a ticket before the source releases anything."""
    if wrapping_key_origin(destination, ticket.request.algorithm, ticket.method) != approved_origin:
        problem = "the wrapping key is not of the origin that was approved"
    elif ticket.request.algorithm != key.algorithm:
        problem = f"the import ticket is for a key of algorithm {ticket.request.algorithm}"
    elif datetime.now(UTC) >= ticket.expires_at:
        problem = "the import ticket is expired"
    else:
        return
    raise InvalidArgument(
        problem,
        backend_id=destination.id,
        next_step="Run the migration again for a new ticket; make a new plan if the destination changed.",
    )


def _handed_over(
    source: Backend,
    destination: Backend,
    key: KeyReference,
    ticket: ImportTicket,
    keep_hash: Callable[[str], object],
) -> Carried | KeyclaveError:
    """Return the imported key, or the error to raise: one without the frames that held the wrapped key."""
    try:
        wrapped = source.wrap_key(key, ticket.wrapping_public_key, ticket.method)
        integrity_hash = hashlib.sha256(wrapped.blob).hexdigest()
        keep_hash(integrity_hash)
        created = destination.import_key(ticket, wrapped)
    except KeyclaveError as error:
        return bare(error)
    if hashlib.sha256(wrapped.blob).hexdigest() != integrity_hash:
        return _wrong(destination, "the wrapped key changed on its way")
    return Carried(created=created, integrity_hash=integrity_hash)


def _require_arrived(destination: Backend, created: CreatedKey, public_key: bytes | None) -> None:
    """Read the key back. That a symmetric key is the right one shows in its proof alone."""
    if destination.find_key(created.reference.label) != created.reference:
        raise _wrong(destination, "it keeps another key under the label than it said")
    if created.public_key != public_key:
        raise _wrong(destination, "the key that arrived has another public key than the one that was sent")
    if public_key is not None and destination.public_key(created.reference).spki != public_key:
        raise _wrong(destination, "the key that it keeps has another public key than the one that was sent")


def _wrong(destination: Backend, problem: str) -> IntegrityError:
    return IntegrityError(problem, operation="import_key", backend_id=destination.id, next_step=_UNTOUCHED)
