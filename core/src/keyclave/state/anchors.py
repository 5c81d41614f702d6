"""The two rows that there are once, on which the others rest: the instance with its epoch, and the audit log's head.

A transaction reads them together, and bytes whose MACs were found good before are not checked again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, select, update

from keyclave.errors import IntegrityError
from keyclave.state.codec import to_microseconds
from keyclave.state.integrity import RowMac
from keyclave.state.records import AuditHead
from keyclave.state.schema import AUDIT_HEAD, INSTANCE
from keyclave.state.session import Session
from keyclave.state.statements import SealedTable

__all__ = ["Anchors", "create_anchors"]

_INSTANCE = SealedTable(INSTANCE, "singleton")
_HEAD = SealedTable(AUDIT_HEAD, "singleton")


_Rows = tuple[int, int, str, bytes, bytes, int, bytes]
_QUERY = select(
    INSTANCE.c.created_at,
    INSTANCE.c.epoch,
    INSTANCE.c.instance_id,
    INSTANCE.c.mac,
    AUDIT_HEAD.c.hash,
    AUDIT_HEAD.c.sequence,
    AUDIT_HEAD.c.mac,
)
_RAISE = update(INSTANCE).values(epoch=bindparam("epoch"), mac=bindparam("mac"))
_MOVE = update(AUDIT_HEAD).values(hash=bindparam("hash"), mac=bindparam("mac"), sequence=bindparam("sequence"))


def create_anchors(session: Session) -> UUID:
    """Write both rows of a new database, and return the identity that the instance has from now on."""
    identity = uuid4()
    now = to_microseconds(datetime.now(UTC))
    session.insert(_INSTANCE, {"singleton": 1, "instance_id": identity.hex, "created_at": now, "epoch": 0})
    session.insert(_HEAD, {"singleton": 1, "sequence": 0, "hash": bytes(32)})
    return identity


class Anchors:
    """Both rows, as one transaction sees and changes them.

    Every property raises ``IntegrityError`` if a row was changed, or has gone.
    """

    __slots__ = ("_rows", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: _Rows | None = None

    @property
    def instance_id(self) -> UUID:
        """The identity of the instance."""
        return UUID(hex=(self._rows or self._read())[2])

    @property
    def epoch(self) -> int:
        """The epoch of the keys."""
        return (self._rows or self._read())[1]

    @property
    def head(self) -> AuditHead:
        """Where the audit log ends."""
        _, _, _, _, chain_hash, sequence, _ = self._rows or self._read()
        return AuditHead(sequence=sequence, hash=chain_hash)

    def raise_epoch(self) -> int:
        """Raise the epoch by one, and return it. Every write of a key or a version needs an epoch of its own."""
        created_at, epoch, identity, _, chain_hash, sequence, head_mac = self._rows or self._read()
        mac = _instance_tag(self._session.mac, created_at, epoch + 1, identity)
        self._session.change(_RAISE, (epoch + 1, mac))
        self._trust((created_at, epoch + 1, identity, mac, chain_hash, sequence, head_mac))
        return epoch + 1

    def move_head(self, sequence: int, chain_hash: bytes) -> None:
        """Let the audit log end with another record."""
        created_at, epoch, identity, instance_mac, *_ = self._rows or self._read()
        mac = _head_tag(self._session.mac, chain_hash, sequence)
        self._session.change(_MOVE, (chain_hash, mac, sequence))
        self._trust((created_at, epoch, identity, instance_mac, chain_hash, sequence, mac))

    def _read(self) -> _Rows:
        found = self._session.query(_QUERY)
        if len(found) != 1:
            raise IntegrityError("the instance row or the head of the audit log is missing")
        rows: Any = found[0]
        if rows != self._session.mac.trusted:
            self._check(rows)
        return self._trust(rows)

    def _check(self, rows: _Rows) -> None:
        created_at, epoch, identity, mac, chain_hash, sequence, head_mac = rows
        checker = self._session.mac
        checker.check("instance", _instance_tag(checker, created_at, epoch, identity), mac)
        checker.check("audit_head", _head_tag(checker, chain_hash, sequence), head_mac)

    def _trust(self, rows: _Rows) -> _Rows:
        self._rows = self._session.mac.trusted = rows
        return rows


def _instance_tag(mac: RowMac, created_at: int, epoch: int, identity: str) -> bytes:
    return mac.tag("instance", {"created_at": created_at, "epoch": epoch, "instance_id": identity, "singleton": 1})


def _head_tag(mac: RowMac, chain_hash: bytes, sequence: int) -> bytes:
    return mac.tag("audit_head", {"hash": chain_hash, "sequence": sequence, "singleton": 1})
