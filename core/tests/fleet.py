"""A fleet in one process: several instances on one database, each with a state directory, as a machine has it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.services import leases

from core.tests.databases import Place

__all__ = ["SHORT", "config_of", "node", "short_leases", "silent", "wait_until_over"]

SHORT = timedelta(seconds=0.6)
_CONFIG = """
[state]
directory = "{directory}"
url = "{place.url}"
key_file = "{place.key_file}"

[environment]
type = "local"

[environment.rotation]
validation_period = "0s"

[backends.software]
plugin = "software"
keystore = "{shared}"
key_file = "{shared}.key"
"""


def config_of(place: Place, directory: Path) -> Path:
    """Write the settings of a machine whose backend is that of the other machines."""
    directory.mkdir(exist_ok=True)
    path = directory / "keyclave.toml"
    shared = directory.with_name("keystore")
    master = shared.with_suffix(".key")
    if not master.exists():
        master.touch(mode=0o600)
        master.write_bytes(secrets.token_bytes(32))
    path.write_text(_CONFIG.format(directory=directory / "state", place=place, shared=shared))
    return path


@contextmanager
def node(place: Place, directory: Path) -> Iterator[Keyclave]:
    """Open an instance, as on a machine of its own."""
    with keyclave.open(config_of(place, directory), principal=directory.name) as clave:
        yield clave


def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases be over soon."""
    monkeypatch.setattr(leases, "_DURATION", SHORT)


def silent(clave: Keyclave) -> None:
    """Let an instance renew its leases no more, as if its process was stopped."""
    clave._owner._leases._ending.set()


def wait_until_over() -> None:
    """Wait until a short lease is over that is not renewed."""
    time.sleep(SHORT.total_seconds() * 1.2)
