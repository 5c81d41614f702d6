"""Bring a database to the revision that this code knows.

Alembic takes long to import, so it is imported only when there is something to do.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from keyclave.errors import ConfigurationError
from keyclave.state.databases import database_at
from keyclave.state.dbapi import Cursor, Database
from keyclave.state.schema import REVISIONS

__all__ = ["is_old", "run_upgrade", "upgrade"]

_SCRIPTS = Path(__file__).with_name("migrations")
_ONE_AT_A_TIME = threading.Lock()  # alembic keeps its context in module globals


def upgrade(url: SecretStr | str, *, timeout: float = 60.0) -> None:
    """Upgrade the schema of a database. SQLite databases are upgraded when they are opened; others only by this.

    Args:
        url: the database, as in ``[state] url``.
        timeout: seconds to wait for another process that upgrades it.

    Raises:
        ConfigurationError: the database is newer than this code, or is not Keyclave's.
        StateUnavailable: the database failed.
    """
    database = database_at(url, timeout)
    database.prepare()
    if is_old(database):
        run_upgrade(database)


def is_old(database: Database) -> bool:
    """Return whether the schema of a database is older than this code; raise what an error of the database means.

    Raises:
        ConfigurationError: it is newer, or is not Keyclave's.
    """
    try:
        connection = database.connect()
        try:
            return _needs_upgrade(database, connection.cursor())
        finally:
            connection.close()
    except database.error as error:
        failure = database.explain(error)
    raise failure


def _needs_upgrade(database: Database, cursor: Cursor) -> bool:
    revision = database.revision(cursor)
    if revision is not None and revision not in REVISIONS:
        raise ConfigurationError(
            f"{database.place()} has schema revision {revision!r}, which this version of keyclave does not know",
            next_step="Install the version of keyclave that wrote it, or a later one.",
        )
    return revision != REVISIONS[-1]


def run_upgrade(database: Database) -> None:
    """Run the missing revisions in one transaction; another process that wants to waits and finds them done."""
    from alembic import command  # noqa: PLC0415  see the module
    from alembic.config import Config  # noqa: PLC0415  see the module

    engine = create_engine(
        f"{database.dialect.name}+{database.dialect.driver}://", creator=database.connect, poolclass=NullPool
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(database.lock_for_upgrade())

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    try:
        with _ONE_AT_A_TIME, engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, REVISIONS[-1])
    except DBAPIError as error:
        failure = database.explain(error.orig if isinstance(error.orig, Exception) else error)
    else:
        return
    finally:
        engine.dispose()
    raise failure
