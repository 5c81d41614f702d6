"""Which chain of the audit log a connection appends to: one that no other connection has.

A chain outlives the process that appended to it, and the next one goes on with it. So there are as many as there
ever were processes that wrote at the same time. Two that took the same chain all the same would wait for each other
at its head, and harm nothing.
"""

from __future__ import annotations

from sqlalchemy import select

from keyclave.state.anchors import FIRST_CHAIN, Access, Anchors
from keyclave.state.connector import Connector
from keyclave.state.dbapi import Connection
from keyclave.state.schema import AUDIT_HEAD

__all__ = ["take_chain"]

_CHAINS = select(AUDIT_HEAD.c.chain).order_by(AUDIT_HEAD.c.chain)


def take_chain(connector: Connector, connection: Connection) -> int:
    """Return the number of a chain for a connection to have until its end. If each is taken, begin another one.

    Raises:
        KeyclaveError: what an error of the database means.
    """
    claim = connector.database.chain_claim
    if claim is None:
        return FIRST_CHAIN
    while True:
        session = connector.session(connection)
        session.begin(connector.database.begin_read)
        try:
            for (chain,) in session.query(_CHAINS):
                if session.query(claim, (chain,)) == [(True,)]:
                    return int(chain)
        finally:
            session.end()
        _add_chain(connector, connection)


def _add_chain(connector: Connector, connection: Connection) -> None:
    session = connector.session(connection)
    session.begin(connector.database.begin_write)
    try:
        Anchors(session, access=Access.CHANGE).add_chain()
        session.commit()
    finally:
        session.end()
