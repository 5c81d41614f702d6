"""Run a command in a network of its own, in which a metadata server answers at its fixed address.

``inside.py SERVER COMMAND...``, started by ``unshare --user --net --map-root-user``. SERVER is one of
`tests.services.metadata`, ``ec2-metadata-mock``, or ``none``. The command's output is followed by a line with the
number of requests that the server got, unless it is the mock.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.guard.sitecustomize import NOTES
from tests.services.catalog import program
from tests.services.metadata import LIARS, SERVERS, served

ADDRESS = ("169.254.169.254", 80)


def main(server: str, *command: str) -> int:
    os.environ.pop(NOTES, None)  # there is nothing outside of this network
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if server == "none":
        return _run(command)
    subprocess.run(["ip", "address", "add", f"{ADDRESS[0]}/32", "dev", "lo"], check=True)
    if server == "ec2-metadata-mock":
        return _beside_the_mock(command)
    with served({**SERVERS, **LIARS}[server], ADDRESS) as answering:
        code = _run(command)
    sys.stdout.write(f"{len(answering.asked)}\n")
    return code


def _beside_the_mock(command: tuple[str, ...]) -> int:
    path = program("ec2-metadata-mock", "ec2-metadata-mock")
    assert path is not None
    listen = [path, "-I", "-n", ADDRESS[0], "-p", str(ADDRESS[1])]
    with subprocess.Popen(listen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as mock:
        try:
            _await()
            return _run(command)
        finally:
            mock.terminate()


def _run(command: tuple[str, ...]) -> int:
    return subprocess.run(command, check=False).returncode


def _await() -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(ADDRESS, 1).close()
            return
        time.sleep(0.05)
    raise TimeoutError("the mock does not listen")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
