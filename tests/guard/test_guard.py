"""A test that connects outside loopback fails, from whichever Python process it does so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guard import sitecustomize
from tests.guard.sitecustomize import NOTES, is_outside

ROOT = Path(__file__).parents[2]
# 192.0.2.0/24 is for documentation: nobody has an address of it.
TESTS = """
import contextlib, socket, subprocess, sys

def test_here():
    with contextlib.suppress(OSError):
        socket.create_connection(("192.0.2.1", 80), 0.1)

def test_in_a_process():
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 0.1)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode

def test_a_datagram():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"", ("192.0.2.1", 9))

def test_on_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 5).close()
"""


@pytest.mark.parametrize(
    ("host", "outside"),
    [
        *[("127.0.0.1", False), ("127.8.8.8", False), ("::1", False), ("localhost", False), ("", False)],
        *[("::ffff:127.0.0.1", False), ("0.0.0.0", False), (0, False)],
        *[("169.254.169.254", True), ("192.0.2.1", True), ("::ffff:192.0.2.1", True), ("fe80::1%eth0", True)],
        ("example.com", True),
    ],
)
def test_what_is_outside(host: object, *, outside: bool) -> None:
    assert is_outside(host) == outside


def test_tests_that_connect_outside_fail(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_bytes(
        (ROOT / "conftest.py")
        .read_bytes()
        .replace(b"Path(__file__).parent", repr(str(ROOT)).encode().join([b"Path(", b")"]))
    )
    (tmp_path / "test_outside.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        str(tmp_path),
    ]
    environment = {name: value for name, value in os.environ.items() if name not in {NOTES, "PYTEST_ADDOPTS"}}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "3 failed, 1 passed" in done.stdout, done.stdout
    assert done.stdout.count("the test connects outside loopback: 192.0.2.1 port") >= 3


def test_the_guard_is_on_here() -> None:
    assert str(Path(sitecustomize.__file__).parent) in os.environ["PYTHONPATH"].split(os.pathsep)
    seen = subprocess.run(
        [sys.executable, "-c", "import sitecustomize; print(sitecustomize.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(seen.stdout.strip()) == Path(sitecustomize.__file__)
