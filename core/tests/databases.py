"""Scratch databases of both kinds, and connections to them that go round Keyclave."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from keyclave.state.store import Store
from keyclave.state.upgrade import upgrade

from tests.services.postgresql import Server

__all__ = ["Place", "on_server", "sqlite_in"]


@dataclass(frozen=True)
class Place:
    """A scratch database."""

    kind: str
    url: str
    key_file: Path

    def open(self, timeout: float = 5.0) -> Store:
        return Store.open(self.url, key_file=self.key_file, timeout=timeout)

    @contextlib.contextmanager
    def raw(self) -> Iterator[Any]:
        """A connection of the driver, in which every statement commits by itself."""
        if self.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)) as c:
                yield c
        else:
            with psycopg.connect(self.url, autocommit=True) as connection:
                yield connection

    @contextlib.contextmanager
    def inspected(self) -> Iterator[sa.Inspector]:
        """What SQLAlchemy finds in the database."""
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        try:
            yield sa.inspect(engine)
        finally:
            engine.dispose()


def sqlite_in(directory: Path) -> Place:
    """Return a place in a private directory that is not there yet."""
    return Place("sqlite", f"sqlite:///{directory}/private/state.db", directory / "private" / "instance.key")


@contextlib.contextmanager
def on_server(server: Server, directory: Path) -> Iterator[Place]:
    """Make a database with Keyclave's schema, and drop it at the end."""
    name = f"keyclave_{uuid.uuid4().hex}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {_with_schema(server)}")
    try:
        yield Place("postgresql", server.url(name), directory / "private" / "instance.key")
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@functools.cache
def _with_schema(server: Server) -> str:
    """Make the database that the others are copies of, once for each server, and return its name."""
    name = "keyclave_template"
    server.execute(f"CREATE DATABASE {name}")
    upgrade(server.url(name))
    return name
