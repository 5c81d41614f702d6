"""The first steps on a database: its schema, its instance row and the key that belongs to it.

The key file is written before the row that needs it, so that an interrupted start leaves nothing that cannot be
started again; and a database that has the row is never given a new key.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from keyclave.errors import ConfigurationError, IntegrityError, KeyclaveError
from keyclave.state.anchors import Anchors, create_anchors
from keyclave.state.connector import Connector
from keyclave.state.dbapi import Connection, Database
from keyclave.state.integrity import RowMac, create_instance_key, read_instance_key
from keyclave.state.newest import check_sum
from keyclave.state.schema import INSTANCE
from keyclave.state.session import Session
from keyclave.state.upgrade import is_old, run_upgrade

__all__ = ["open_instance"]

_INSTANCES = select(INSTANCE.c.instance_id)


def open_instance(database: Database, key_file: Path) -> tuple[Connector, UUID]:
    """Return what makes connections to the database, and the identity of the instance in it.

    Raises:
        KeyclaveError: see `keyclave.state.store.Store.open`.
    """
    database.prepare()
    if is_old(database):
        _upgrade(database)
    try:
        connection = database.connect()
        try:
            return _open(database, connection, key_file)
        finally:
            connection.close()
    except database.error as error:
        failure: KeyclaveError = database.explain(error)
    raise failure


def _upgrade(database: Database) -> None:
    if not database.upgrades_itself:
        raise ConfigurationError(
            f"the schema of {database.place()} is missing or old",
            next_step="Upgrade it with `keyclave state upgrade`, as the user that owns the database.",
        )
    run_upgrade(database)


def _open(database: Database, connection: Connection, key_file: Path) -> tuple[Connector, UUID]:
    rows = connection.cursor().execute("SELECT COUNT(*) FROM instance").fetchone()[0]
    connector = Connector(database, RowMac(read_instance_key(key_file) if rows else create_instance_key(key_file)))
    session = connector.session(connection)
    try:
        session.begin(database.begin_write)
        identity = _identify(session, key_file)
    finally:
        session.end()
    _check_keys(connector.session(connection), database)
    return connector, identity


def _check_keys(session: Session, database: Database) -> None:
    """Compare the epochs of the keys: in a transaction that reads, since it may take long and others write."""
    try:
        session.begin(database.begin_read)
        anchors = Anchors(session)
        anchors.heads()
        check_sum(session, anchors)
    finally:
        session.end()


def _identify(session: Session, key_file: Path) -> UUID:
    """Return the identity of the instance, made now if the database is new."""
    if not session.query(_INSTANCES):
        identity = create_anchors(session)
        session.commit()
        return identity
    try:
        return Anchors(session).instance_id
    except IntegrityError as error:
        problem = error.message
    raise IntegrityError(f"the instance key {key_file} does not belong to this database, or {problem}")
