"""Leases inside one transaction: who may work on what, for how long, by the clock of the database alone.

A transaction that looks at a lease in order to write keeps others from taking or renewing it until it ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from keyclave.state.codec import Codec, from_microseconds
from keyclave.state.records import StoredLease
from keyclave.state.schema import LEASES
from keyclave.state.session import Session
from keyclave.state.statements import SealedTable

__all__ = ["Leases"]

_TABLE = SealedTable(LEASES, "resource")
_ONE = _TABLE.where("resource")
_LOCKED = _ONE.with_for_update()
_UNLOCKED = _ONE.with_for_update(skip_locked=True)
_CODEC = Codec(StoredLease)


class _Now(FunctionElement[int]):
    """The microseconds since 1970 UTC by the database's clock: now, not when the transaction began."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Now, "sqlite")
def _now_of_sqlite(*_: Any, **__: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"


@compiles(_Now, "postgresql")
def _now_of_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


_NOW = select(_Now())


class Leases:
    """What is being worked on, by whom."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def now(self) -> datetime:
        """Return the time of the database's clock, UTC."""
        ((now,),) = self._session.query(_NOW)
        return from_microseconds(now)

    def get(self, resource: str) -> StoredLease | None:
        """Return the last lease of a resource, over or not; ``None`` if there was none."""
        return self._find(_ONE, resource)

    def lock(self, resource: str) -> StoredLease | None:
        """Return what ``get`` does, and keep others from changing it until this transaction ends."""
        return self._find(_LOCKED, resource)

    def lock_idle(self, resource: str) -> StoredLease | None:
        """Return what ``lock`` does, or ``None`` where another transaction has locked it: this waits for none."""
        return self._find(_UNLOCKED, resource)

    def is_over(self, lease: StoredLease) -> bool:
        """Return whether the time of a lease is over."""
        return lease.expires_at <= self.now()

    def take(self, before: StoredLease | None, resource: str, holder: str, duration: timedelta) -> StoredLease:
        """Give a resource to a holder, with the next fencing number, and return the lease.

        Args:
            before: its last lease, which is over or given up, as ``lock`` or ``lock_idle`` returned it.
            resource: what is worked on.
            holder: who works on it.
            duration: how long, unless the lease is renewed.

        Raises:
            Conflict: another transaction took it.
        """
        fencing = 1 if before is None else before.fencing + 1
        lease = StoredLease(resource=resource, holder=holder, fencing=fencing, expires_at=self.now() + duration)
        row = _CODEC.to_row(lease)
        if before is None:
            self._session.insert(_TABLE, row)
        else:
            self._session.update(_TABLE, row)
        return lease

    def holds(self, lease: StoredLease) -> bool:
        """Return whether a lease still holds: nobody has taken it, and it is not over. Locks it, as ``lock`` does."""
        found = self.lock(lease.resource)
        return found is not None and found.fencing == lease.fencing and not self.is_over(found)

    def extend(self, lease: StoredLease, duration: timedelta) -> StoredLease:
        """Let a lease that ``holds`` end so long from now, and return it; with no duration it is given up."""
        extended = StoredLease(
            resource=lease.resource,
            holder=lease.holder,
            fencing=lease.fencing,
            expires_at=self.now() + duration,
        )
        self._session.update(_TABLE, _CODEC.to_row(extended))
        return extended

    def _find(self, query: Any, resource: str) -> StoredLease | None:
        row = self._session.row(_TABLE, query, the_resource=resource)
        return None if row is None else _CODEC.to_record(row)
