"""Whether all keys and versions are there, and each as it was written last.

A MAC does not show that a row was put back to earlier bytes with their earlier MAC. The epochs do: every write of a
key or a version gets an epoch of its own, and epochs only rise. So an earlier row has a lower epoch, a missing one
has none, and the sum of them all, which is in the instance row and under its MAC, is reached by the newest rows only.

What it rests on is that no row counts twice. The primary keys see to that where the sum alone is compared;
`check_every_row` trusts no more of the database than the instance row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, bindparam, cast, func, literal_column, select, tuple_

from keyclave.errors import IntegrityError
from keyclave.state.anchors import Anchors
from keyclave.state.schema import KEY_VERSIONS, KEYS
from keyclave.state.session import Row, Session
from keyclave.state.statements import SealedTable

__all__ = ["check_every_row", "check_sum"]

_PAGE = 1000
_SUMS = select(
    *(
        select(cast(func.coalesce(func.sum(table.c.epoch), literal_column("0")), BigInteger)).scalar_subquery()
        for table in (KEYS, KEY_VERSIONS)
    )
)


def check_sum(session: Session, anchors: Anchors) -> None:
    """Return if the epochs of keys and versions have the sum that they must have. It reads their index only.

    Raises:
        IntegrityError: they have not.
    """
    _compare(sum(session.query(_SUMS)[0]), anchors)


def check_every_row(session: Session, anchors: Anchors, *tables: SealedTable) -> None:
    """Return if the rows of these tables, of which each is read and its MAC checked, have the sum of epochs.

    Raises:
        IntegrityError: they have not, or a row is not what Keyclave wrote, or is there twice.
    """
    _compare(sum(int(row["epoch"] or 0) for table in tables for row in _rows(session, table)), anchors)


def _compare(found: int, anchors: Anchors) -> None:
    if found != anchors.epoch_sum:
        raise IntegrityError("a key or a version is missing, or was put back to what it was before")


def _rows(session: Session, table: SealedTable) -> Iterator[Row]:
    """Yield all rows in the order of their primary key, which must rise, so that none is there twice."""
    columns = [table.table.c[column] for column in table.key]
    ordered = (
        table.selection.order_by(*columns).limit(bindparam("limit", type_=BigInteger)).offset(literal_column("0"))
    )
    following = ordered.where(tuple_(*columns) > tuple_(*(bindparam(f"the_{name}") for name in table.key)))
    rows, last = session.rows(table, ordered, limit=_PAGE), None
    while rows:
        for row in rows:
            place: Any = tuple(row[column] for column in table.key)
            if last is not None and place <= last:
                raise IntegrityError(f"a row of table {table.name} is there twice")
            last = place
            yield row
        rows = session.rows(table, following, limit=_PAGE, **{f"the_{name}": row[name] for name in table.key})
