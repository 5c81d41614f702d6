"""PostgreSQL, through psycopg: for several machines that share keys."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import Executable

from keyclave.errors import ConfigurationError, Conflict, IntegrityError, KeyclaveError, StateUnavailable
from keyclave.state.dbapi import LOCKED, Connection, Cursor
from keyclave.state.migrations.guards import PREFIX
from keyclave.state.refusals import reason_of

__all__ = ["PostgresqlDatabase"]

_DIALECT: Dialect = dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_REQUIRED = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
    "server_encoding": ("UTF8",),
}
_LOCKED = frozenset({"55P03", "40001", "40P01"})  # lock not available, serialization failure, deadlock
_DAMAGED = frozenset({"XX001", "XX002"})  # data, index corrupted
_NOT_ALLOWED = "42501"  # insufficient privilege
_SHOWN = frozenset({"host", "port"})  # of the options in a URL: others can be secrets
_UNREACHABLE = (
    "See that the server runs, and check the host, user, password, certificates and database of [state] url."
)
_GRANT = (
    "As the owner of the database run `keyclave state upgrade`, then `keyclave state grant ROLE` for the user that"
    " applications work as."
)
# Appending transactions share the instance among themselves, and leave it to one that changes anything.
_LOCK = "LOCK TABLE instance IN EXCLUSIVE MODE"
_SHARE = "LOCK TABLE instance IN ROW SHARE MODE"
# What is read after the lock was had is what the last one that had it left there.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
# The identifier of the table makes it another lock for each instance in one database.
_CLAIM = text(
    "SELECT pg_try_advisory_lock(CAST(CAST(CAST('audit_head' AS regclass) AS oid) AS integer),"
    " CAST(:the_chain AS integer))"
)
_ARRAYS = {Text: "text[]", BigInteger: "bigint[]", LargeBinary: "bytea[]"}
_UPGRADE_LOCK = 0x6B6579636C617665  # the bytes of "keyclave"


class PostgresqlDatabase:
    """A PostgreSQL database; see `keyclave.state.dbapi.Database`.

    Args:
        url: where it is, as SQLAlchemy writes it.
        timeout: seconds to wait for a connection or a lock.
    """

    dialect: Dialect = _DIALECT
    begin_write: tuple[str, ...] = (_BEGIN, _LOCK)
    begin_append: tuple[str, ...] = (_BEGIN, _SHARE)
    begin_lease: tuple[str, ...] = (_BEGIN,)
    begin_read: tuple[str, ...] = ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",)
    chain_claim: Executable | None = _CLAIM
    upgrades_itself = False

    def __init__(self, url: URL, timeout: float) -> None:
        self._url = url
        self._place = _without_secrets(url)
        self._timeout = timeout
        self._driver: Any = _psycopg()
        self.error: tuple[type[Exception], ...] = (self._driver.Error,)

    def prepare(self) -> None:
        """Do nothing: the server keeps its files."""

    def verifies_server(self) -> bool:
        """Return whether the server is on this machine, or is verified by TLS, certificate and name.

        What the URL leaves open is as libpq's environment variables have it. A service file is not looked into.
        """
        _, given = self.dialect.create_connect_args(self._url)
        defaults = () if "service" in given else self._driver.pq.Conninfo.get_defaults()
        options = {default.keyword.decode(): (default.val or b"").decode() for default in defaults}
        options.update(given)
        hosts = [host for name in ("host", "hostaddr") for host in options.get(name, "").split(",")]
        local = "service" not in given and all(map(_is_local, hosts))
        return local or options.get("sslmode") == "verify-full"

    def connect(self, *, read_only: bool = False) -> Connection:
        """Return a connection to a server that keeps what it commits."""
        _, given = self.dialect.create_connect_args(self._url)
        # A process that is stopped in the middle of a transaction must not hold up the others.
        options = (
            f"-c lock_timeout={round(self._timeout * 1000)} -c TimeZone=UTC"
            f" -c idle_in_transaction_session_timeout={round(self._timeout * 2000)}"
            f" -c default_transaction_read_only={'on' if read_only else 'off'}"
        )
        ours = {
            "autocommit": True,
            "client_encoding": "UTF8",
            "connect_timeout": max(1, round(self._timeout)),
            "options": f"{given.get('options', '')} {options}",
        }
        connection = self._driver.connect(**{**self._patience(), **given, **ours})
        try:
            self._check(connection.cursor())
        except BaseException:
            connection.close()
            raise
        return connection  # type: ignore[no-any-return]  # psycopg is imported by name: it is optional

    def _patience(self) -> dict[str, Any]:
        """Return what the URL may say otherwise: how long a network that has gone without a word is waited for."""
        seconds = max(1, round(self._timeout))
        return {
            "application_name": "keyclave",
            "tcp_user_timeout": 2000 * seconds,  # for what was sent; the next three where nothing was
            "keepalives_idle": seconds,
            "keepalives_interval": 1,
            "keepalives_count": seconds,
        }

    def _check(self, cursor: Cursor) -> None:
        for name, allowed in _REQUIRED.items():
            (effective,) = cursor.execute(f"SHOW {name}").fetchone()
            if effective not in allowed:
                raise ConfigurationError(
                    f"{self._place}: PostgreSQL's {name} is {effective}, not {allowed[0]}",
                    next_step="Set it on the server; the encoding is chosen when a database is made.",
                )

    def insert_all(self, cursor: Cursor, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows as one array for each column: one round trip, however many there are."""
        cursor.execute(_insertion(table), [list(column) for column in zip(*rows, strict=True)])

    def commit(self, cursor: Cursor) -> None:
        """Commit; a transaction in which a statement failed is undone by this, and no error says so."""
        if cursor.execute("COMMIT").statusmessage != "COMMIT":
            raise StateUnavailable("the database undid the transaction")

    def settle(self, connection: Connection) -> None:
        """Wait until a transaction whose connection broke has ended: its COMMIT may still be on the way.

        What is seen then is on the disk: a server that fails to flush its log stops, and replays it from there.
        """
        connection.cursor().execute(f"DO $$ BEGIN {_LOCK}; END $$")

    def revision(self, cursor: Cursor) -> str | None:
        """Return what alembic noted."""
        tables = cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        if ("alembic_version",) in tables:
            row = cursor.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else None
        if tables:
            raise ConfigurationError(f"{self._place} is not a database of Keyclave")
        return None

    def lock_for_upgrade(self) -> str:
        """Return the statement that lets one process upgrade."""
        return f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"

    def explain(self, error: Exception) -> KeyclaveError:
        """Return what an error of psycopg means."""
        state = getattr(error, "sqlstate", None) or ""
        if state in _LOCKED:
            return Conflict(f"the database {self._place} was locked for too long", next_step=LOCKED)
        if state.startswith("22") or isinstance(error, self._driver.DataError):
            return Conflict("the database cannot hold a value", retryable=False)
        if state.startswith("23"):
            rule = getattr(error, "diag").message_primary or ""  # noqa: B009  an attribute of psycopg's errors only
            return Conflict(f"the database refused a change: {rule.removeprefix(PREFIX)}", retryable=False)
        if state in _DAMAGED:
            return IntegrityError(f"the database {self._place} is damaged")
        return self._unavailable(error, state)

    def _unavailable(self, error: Exception, state: str) -> StateUnavailable:
        if not state:
            return StateUnavailable(
                f"there is no connection to {self._place}: {reason_of(error)}", next_step=_UNREACHABLE
            )
        if state == _NOT_ALLOWED:
            return StateUnavailable(
                f"the user of {self._place} lacks a right on the database", next_step=_GRANT, retryable=False
            )
        return StateUnavailable(f"the database {self._place} failed: {type(error).__name__} {state}")

    def place(self) -> str:
        """Return the URL without its password and options."""
        return self._place


@functools.cache
def _insertion(table: Table) -> str:
    names = ", ".join(column.name for column in table.c)
    arrays = ", ".join(f"%b::{_ARRAYS[type(column.type)]}" for column in table.c)
    return f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608  names are ours


def _is_local(host: str) -> bool:
    """Return whether a host is this machine: a socket in a directory, the default, or loopback."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _without_secrets(url: URL) -> str:
    query = {name: value for name, value in url.query.items() if name in _SHOWN}
    return url.set(query=query).render_as_string()


def _psycopg() -> Any:
    try:
        return importlib.import_module("psycopg")
    except ImportError:
        pass
    raise ConfigurationError(
        "a postgresql URL needs the package psycopg", next_step='Install it: pip install "keyclave[postgresql]".'
    )
