"""MiniStack, an emulator of AWS, for the tests alone: on loopback, with its files in a directory of its own.

What it does unlike AWS is listed where the contract is run against it, in ``tests/contract``.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.services.catalog import program
from tests.services.processes import stop_process

__all__ = ["REGION", "Server", "running", "stop_in"]

REGION = "us-east-1"
"""The region of the instance whose metadata it serves; it takes requests for any."""

_START_SECONDS = 60


class Server:
    """An emulator that runs.

    Args:
        directory: where it may write.
    """

    def __init__(self, directory: Path) -> None:
        path = program("ministack", "ministack")
        assert path is not None
        self.port = _free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._log = directory / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [path],
                cwd=directory,
                env=_environment(directory, self.port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt from the keyboard is for the tests, and not for the server
            )
        self._await()

    def reset(self) -> None:
        """Forget all keys."""
        assert _status(self.port, "POST", "reset") == http.client.OK

    def stop(self) -> None:
        """Stop it, and forget all keys."""
        self.process.terminate()
        self.process.wait(60)

    def _await(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"MiniStack does not start:\n{self._log.read_text()}")
            time.sleep(0.05)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Start an emulator without keys; stop it, and leave nothing of it, at the end."""
    with tempfile.TemporaryDirectory(prefix="keyclave-") as directory:
        server = Server(Path(directory))
        try:
            yield server
        finally:
            server.stop()


def stop_in(directory: Path) -> None:
    """Stop the emulator that writes into a directory, whichever process started it."""
    for file in directory.glob("ministack-*.pid"):
        stop_process(int(file.read_text()), signal.SIGTERM)


def _environment(directory: Path, port: int) -> Mapping[str, str]:
    """Return all that it may know of this machine.

    It reads dozens of variables, and removes containers of Docker that it takes for its own.
    """
    return {
        "PATH": os.defpath,
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "DOCKER_HOST": f"unix://{directory}/no-docker",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "kms,sts,iam,imds",
        # These two listen on every interface, whatever BIND_HOST says.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": "WARNING",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        return _status(port, "GET", "ready") == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def _status(port: int, method: str, name: str) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request(method, f"/_ministack/{name}")
        return connection.getresponse().status
