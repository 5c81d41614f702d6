"""What code does to the world is heard, and what is right for a probe is told from what is not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, ctypes, json, os, socket, subprocess, sys
from keyclave_contract_tests.watching import Watch
watch = Watch()
def connect(*address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
with contextlib.suppress(OSError), watch.on(probes=sys.argv[1] == "probes"):
    exec(sys.argv[2])
print(json.dumps(list(watch.heard)))
"""


def heard(code: str, *, probes: bool) -> list[str]:
    """Return what a watch hears of code in a process of its own."""
    arguments = [sys.executable, "-c", PROGRAM, "probes" if probes else "import", code]
    done = subprocess.run(arguments, check=True, capture_output=True)
    answer: list[str] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("open('/dev/null/file', 'w')", "writes a file"),
        ("os.open('/dev/null/file', os.O_RDWR)", "writes a file"),
        ("os.mkdir('/dev/null/directory')", "changes a directory"),
        ("subprocess.run(['/dev/null/program'])", "starts a process"),
        ("os.environ['KEYCLAVE_WATCHED'] = '1'", "changes the environment variables"),
        ("ctypes.CDLL('libzoo.so')", "loads a native library"),
        ("connect('127.0.0.1', 9)", "uses the network"),
        ("socket.getaddrinfo('localhost', 1)", "uses the network"),
    ],
)
def test_an_import_may_do_none_of_this(code: str, what: str) -> None:
    assert heard(code, probes=False) == [what]


@pytest.mark.parametrize(
    "code", ["open('/dev/null').read()", "open('/dev/null', 'w').write('nothing')", "ctypes.CDLL(None)", "import re"]
)
def test_looking_is_not_heard(code: str) -> None:
    assert heard(code, probes=False) == []


@pytest.mark.parametrize(
    "code",
    [
        "connect('169.254.169.254', 80)",
        "connect('127.0.0.1', 8080)",
        "socket.getaddrinfo('127.0.0.1', 80)",
        "socket.getaddrinfo('localhost', 80)",
        "socket.getaddrinfo(None, 80)",
    ],
)
def test_a_probe_may_ask_nearby(code: str) -> None:
    assert heard(code, probes=True) == []


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("connect('127.0.0.1', 9)", "goes through the proxy"),
        ("socket.getaddrinfo('8.8.8.8', 53)", "asks an address on the internet"),
        ("socket.getaddrinfo('keyclave.invalid', 80)", "looks up a name, where a fixed address is due"),
        ("socket.getaddrinfo(b'keyclave.invalid', 80)", "looks up a name, where a fixed address is due"),
        ("os.mkdir('/dev/null/directory')", "changes a directory"),
    ],
)
def test_a_probe_may_ask_nobody_else(code: str, what: str) -> None:
    assert heard(code, probes=True) == [what]
