"""The two rows that there are once, on which the others rest: the instance with its epoch, and the audit log's head.

The instance also has the sum of the epochs of all keys and versions; see `keyclave.state.newest`. The head has the
epoch at which it was moved there, so that the keys are not older than the log.

A transaction reads them together, and bytes whose MACs were found good before are not checked again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, select, update

from keyclave.errors import IntegrityError
from keyclave.state.codec import to_microseconds
from keyclave.state.integrity import RowMac, Value
from keyclave.state.records import AuditHead
from keyclave.state.schema import AUDIT_HEAD, INSTANCE
from keyclave.state.session import Session
from keyclave.state.statements import SealedTable

__all__ = ["Anchors", "create_anchors"]

_INSTANCE = SealedTable(INSTANCE, "singleton")
_HEAD = SealedTable(AUDIT_HEAD, "singleton")


_Rows = tuple[int, int, int, str, bytes, int, bytes, int, bytes]
_QUERY = select(
    INSTANCE.c.created_at,
    INSTANCE.c.epoch,
    INSTANCE.c.epoch_sum,
    INSTANCE.c.instance_id,
    INSTANCE.c.mac,
    AUDIT_HEAD.c.epoch,
    AUDIT_HEAD.c.hash,
    AUDIT_HEAD.c.sequence,
    AUDIT_HEAD.c.mac,
)
_RAISE = update(INSTANCE).values(epoch=bindparam("epoch"), epoch_sum=bindparam("epoch_sum"), mac=bindparam("mac"))
_MOVE = update(AUDIT_HEAD).values(
    epoch=bindparam("epoch"), hash=bindparam("hash"), mac=bindparam("mac"), sequence=bindparam("sequence")
)


def create_anchors(session: Session) -> UUID:
    """Write both rows of a new database, and return the identity that the instance has from now on."""
    identity = uuid4()
    now = to_microseconds(datetime.now(UTC))
    session.insert(
        _INSTANCE, {"singleton": 1, "instance_id": identity.hex, "created_at": now, "epoch": 0, "epoch_sum": 0}
    )
    session.insert(_HEAD, {"singleton": 1, "epoch": 0, "sequence": 0, "hash": bytes(32)})
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
        return UUID(hex=(self._rows or self._read())[3])

    @property
    def epoch(self) -> int:
        """The epoch of the keys."""
        return (self._rows or self._read())[1]

    @property
    def head(self) -> AuditHead:
        """Where the audit log ends."""
        *_, chain_hash, sequence, _ = self._rows or self._read()
        return AuditHead(sequence=sequence, hash=chain_hash)

    @property
    def epoch_sum(self) -> int:
        """The sum of the epochs of all keys and versions."""
        return (self._rows or self._read())[2]

    def raise_epoch(self, replaced: int = 0) -> int:
        """Raise the epoch by one, and return it. Every write of a key or a version needs an epoch of its own.

        Args:
            replaced: the epoch that the row had; 0 for a new one.
        """
        created_at, epoch, epoch_sum, identity, _, head_epoch, chain_hash, sequence, head_mac = (
            self._rows or self._read()
        )
        epoch += 1
        epoch_sum += epoch - replaced
        mac = _instance_tag(self._session.mac, created_at, epoch, epoch_sum, identity)
        self._session.change(_RAISE, (epoch, epoch_sum, mac))
        self._trust((created_at, epoch, epoch_sum, identity, mac, head_epoch, chain_hash, sequence, head_mac))
        return epoch

    def move_head(self, sequence: int, chain_hash: bytes) -> None:
        """Let the audit log end with another record."""
        instance = (self._rows or self._read())[:5]
        epoch = instance[1]
        mac = _head_tag(self._session.mac, epoch, chain_hash, sequence)
        self._session.change(_MOVE, (epoch, chain_hash, mac, sequence))
        self._trust((*instance, epoch, chain_hash, sequence, mac))

    def _read(self) -> _Rows:
        found = self._session.query(_QUERY)
        if len(found) != 1:
            raise IntegrityError("the instance row or the head of the audit log is missing")
        rows: Any = found[0]
        if rows != self._session.mac.trusted:
            self._check(rows)
        return self._trust(rows)

    def _check(self, rows: _Rows) -> None:
        created_at, epoch, epoch_sum, identity, mac, head_epoch, chain_hash, sequence, head_mac = rows
        checker = self._session.mac
        checker.check("instance", _instance_tag(checker, created_at, epoch, epoch_sum, identity), mac)
        checker.check("audit_head", _head_tag(checker, head_epoch, chain_hash, sequence), head_mac)
        if epoch < head_epoch:
            raise IntegrityError("the keys were put back to what they were before the audit log's last record")

    def _trust(self, rows: _Rows) -> _Rows:
        self._rows = self._session.mac.trusted = rows
        return rows


def _instance_tag(mac: RowMac, created_at: int, epoch: int, epoch_sum: int, identity: str) -> bytes:
    row: dict[str, Value] = {
        "created_at": created_at,
        "epoch": epoch,
        "epoch_sum": epoch_sum,
        "instance_id": identity,
        "singleton": 1,
    }
    return mac.tag("instance", row)


def _head_tag(mac: RowMac, epoch: int, chain_hash: bytes, sequence: int) -> bytes:
    return mac.tag("audit_head", {"epoch": epoch, "hash": chain_hash, "sequence": sequence, "singleton": 1})
