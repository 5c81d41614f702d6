"""The emulator of AWS keeps to itself: on loopback, and in its directory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.catalog import program
from tests.services.ministack import Server, running

LISTENING = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


@pytest.fixture(scope="module")
def ministack() -> Iterator[Server]:
    with running() as server:
        yield server


def listening(process: int) -> list[tuple[str, int]]:
    """The addresses, as hex, and ports on which a process listens, as proc_net_tcp(5) has them."""
    descriptors = Path(f"/proc/{process}/fd").iterdir()
    inodes = {str(path.readlink()).removeprefix("socket:[").rstrip("]") for path in descriptors}
    lines = [
        line.split()
        for table in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]
    ]
    local = [fields[1].split(":") for fields in lines if fields[9] in inodes and fields[3] in {LISTENING, "07"}]
    return [(address, int(port, 16)) for address, port in local]


@pytest.mark.needs("ministack")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say in a file where a process listens")
def test_it_listens_on_loopback_alone(ministack: Server) -> None:
    found = listening(ministack.process.pid)
    assert {address for address, _ in found} <= LOOPBACK
    assert [port for _, port in found] == [ministack.port]


@pytest.mark.needs("ministack")
def test_its_packages_are_not_those_of_keyclave(ministack: Server) -> None:
    assert ministack.process.poll() is None
    path = program("ministack", "ministack")
    assert path is not None
    assert not Path(path).is_relative_to(sys.prefix)
