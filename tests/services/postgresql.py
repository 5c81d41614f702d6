"""A PostgreSQL server for the tests alone: a cluster of its own, reached by a socket in a private directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.services.catalog import program
from tests.services.processes import stop_process

__all__ = ["Server", "running", "stop_in"]

_USER = "keyclave"
_PORT = 5432
_START_SECONDS = 60
# Text is sorted as people expect it, and not by its bytes: what needs another order must ask for it.
_CLUSTER = ("--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=und")


class Server:
    """A cluster in a directory, and the server that runs on it.

    Args:
        directory: private to the user that the server runs as; its socket is in it.
        settings: of the server, as ``name=value``.
        port: where it listens too, if the settings say so; part of the socket's name.
    """

    def __init__(self, directory: Path, *settings: str, port: int = _PORT) -> None:
        self.directory = directory
        self.port = port
        self._settings = settings
        # It refuses to run as root; Debian's package makes this user for it.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        self._account: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
        if root:
            shutil.chown(directory, "postgres", "postgres")
        self._command("initdb", "--no-sync", "--auth=trust", f"--username={_USER}", *_CLUSTER)
        self.start()

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        port = "" if self.port == _PORT else f"&port={self.port}"
        return f"postgresql://{_USER}@/{database}?host={self.directory}{port}"

    def execute(self, statement: str) -> None:
        """Run a statement for the whole cluster, such as CREATE DATABASE."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start the server, and return when it answers."""
        settings = ("listen_addresses=", f"port={self.port}", *self._settings)
        options = ("-k", str(self.directory), *(option for setting in settings for option in ("-c", setting)))
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._on_cluster("postgres"), *options],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt from the keyboard is for the tests, and not for the server
                **self._account,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"PostgreSQL does not start:\n{(self.directory / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends its connections, SIGQUIT lets it crash."""
        self.process.send_signal(how)
        self.process.wait(60)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _command(self, name: str, *options: str) -> None:
        subprocess.run(
            [*self._on_cluster(name), *options], cwd=self.directory, check=True, capture_output=True, **self._account
        )

    def _on_cluster(self, name: str) -> list[str]:
        path = program("postgresql", name)
        assert path is not None
        return [path, "-D", str(self.directory / "data")]


@contextlib.contextmanager
def running(*settings: str, port: int = _PORT) -> Iterator[Server]:
    """Start a server on a new cluster, with these settings; stop it, and leave nothing of it, at the end."""
    # The path of a socket is short: pytest's own directories can be too deep, and root's are closed to others.
    with tempfile.TemporaryDirectory(prefix="keyclave-") as directory:
        server = Server(Path(directory), *settings, port=port)
        try:
            yield server
        finally:
            server.stop()


def stop_in(directory: Path) -> None:
    """Stop the server on the cluster in a directory, whichever process started it."""
    with contextlib.suppress(FileNotFoundError):
        stop_process(int((directory / "data/postmaster.pid").read_text().split()[0]), signal.SIGINT)
