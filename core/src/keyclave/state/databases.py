"""Which database a URL means."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from keyclave.errors import ConfigurationError
from keyclave.state.dbapi import Database

__all__ = ["database_at"]


def database_at(url: SecretStr | str, timeout: float) -> Database:
    """Return the database that a URL means. Nothing is opened.

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``postgresql://user@host/database``; secret
            where it holds a password, so that no traceback shows it.
        timeout: seconds to wait for a lock.

    Raises:
        ConfigurationError: no such kind of database, or an SQLite URL without a file or with options.
    """
    try:
        parsed = make_url(url.get_secret_value() if isinstance(url, SecretStr) else url)
    except (ArgumentError, ValueError):  # a port that is no number
        parsed = None
    if parsed is not None and parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(parsed, timeout)
    if parsed is not None and parsed.drivername in ("postgresql", "postgresql+psycopg"):
        from keyclave.state.postgresql import PostgresqlDatabase  # noqa: PLC0415  an optional driver

        return PostgresqlDatabase(parsed, timeout)
    raise ConfigurationError("[state] url must begin with sqlite:/// or postgresql://")


def _sqlite(url: URL, timeout: float) -> Database:
    from keyclave.state.sqlite import SqliteDatabase  # noqa: PLC0415  only what the URL asks for

    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError("[state] url must name a file: state in memory would be lost")
    if url.query or url.host:
        raise ConfigurationError("[state] url must have no host and no options for SQLite")
    return SqliteDatabase(Path(url.database).absolute(), timeout)
