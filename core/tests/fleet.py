"""A fleet in one process: several instances on one database, each with a state directory, as a machine has it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import keyclave
from keyclave import Keyclave

from core.tests.configuring import settings_of
from core.tests.databases import Place

__all__ = ["be_late", "config_of", "fall_silent", "node"]


def config_of(place: Place, directory: Path) -> Path:
    """Write the settings of a machine whose backend is that of the other machines."""
    directory.mkdir(exist_ok=True)
    path = directory / "keyclave.toml"
    shared = directory.with_name("keystore")
    master = shared.with_suffix(".key")
    if not master.exists():
        master.touch(mode=0o600)
        master.write_bytes(secrets.token_bytes(32))
    settings = settings_of(directory / "state", url=place.url, key_file=place.key_file)
    path.write_text(f'{settings}keystore = "{shared}"\nkey_file = "{master}"\n')
    return path


@contextmanager
def node(place: Place, directory: Path) -> Iterator[Keyclave]:
    """Open an instance, as on a machine of its own."""
    with keyclave.open(config_of(place, directory), principal=directory.name) as clave:
        yield clave


def fall_silent(clave: Keyclave, *resources: str) -> None:
    """Let leases be over, those of these resources or of all open changes, as if their machine had been suspended.

    Its own clock stood still meanwhile, so that the instance believes that it has them; see `be_late`.
    """
    with clave._store.lease() as state:
        for resource in resources or [intent.operation_id.hex for intent in state.intents.open()]:
            lease = state.leases.lock(resource)
            assert lease is not None
            state.leases.extend(lease, timedelta(0))


def be_late(clave: Keyclave) -> None:
    """Let the instance itself rely on its leases no more, though by the database's clock they hold."""
    for held in clave._owner._leases._held.values():
        held.until = 0.0
