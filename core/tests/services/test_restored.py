"""What becomes of a state that is put back to an earlier copy of itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import keyclave
import pytest
from keyclave import Keyclave
from keyclave.errors import AuditUnavailable, IntegrityError, KeyclaveError
from keyclave.state.upgrade import upgrade

from core.tests.configuring import settings_of
from tests.services.postgresql import Server

MESSAGE = b"message"


def require_refused(clave: Keyclave, error: type[KeyclaveError], says: str) -> None:
    """Every use of a key fails, and goes on failing."""
    clave.rotation._instance.epoch.invalidate()
    for _ in range(2):
        with pytest.raises(error, match=says):
            clave.keys.sign("k", MESSAGE)


def copy_database(source: Path, target: Path) -> None:
    """Copy a database over another one, in the file that is there, as a tool that restores backups does."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def put_back(clave: Keyclave, backup: Path) -> None:
    """Rotate a key after a backup, and restore it while the instance is open."""
    database = Path(clave.settings.state.directory, "keyclave.db")
    clave.keys.create("k", "ED25519")
    copy_database(database, backup)
    clave.keys.sign("k", MESSAGE)
    clave.rotation.rotate("k")
    assert clave.keys.sign("k", MESSAGE).version == 2
    copy_database(backup, database)


def test_a_process_that_has_it_open_uses_no_key_of_an_earlier_copy(config: Path, tmp_path: Path) -> None:
    with keyclave.open(config) as clave:
        put_back(clave, tmp_path / "backup.db")
        require_refused(clave, AuditUnavailable, "the stored log is not as it was written")
    with keyclave.open(config) as again:
        assert again.keys.sign("k", MESSAGE).version == 1
        assert again.audit.verify().ok


def test_the_epoch_shows_an_earlier_copy_where_nothing_is_audited(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + "\n[environment.audit]\nenabled = false\n")
    with keyclave.open(config) as clave:
        put_back(clave, tmp_path / "backup.db")
        require_refused(clave, IntegrityError, "put back to an earlier copy of itself")


@pytest.fixture
def served(server: Server, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "served.toml"
    server.execute("CREATE DATABASE restored")
    path.write_text(settings_of(tmp_path / "served", url=server.url("restored")))
    yield path
    server.execute("DROP DATABASE restored WITH (FORCE)")
    server.execute("DROP DATABASE backup")


@pytest.mark.needs("postgresql")
def test_a_machine_notices_that_the_server_has_an_earlier_copy(served: Path, server: Server) -> None:
    upgrade(server.url("restored"))
    with keyclave.open(served) as clave:
        clave.keys.create("k", "ED25519")
    server.execute("CREATE DATABASE backup TEMPLATE restored")
    with keyclave.open(served) as clave:
        clave.rotation.rotate("k")
        assert clave.keys.sign("k", MESSAGE).version == 2
        server.execute("DROP DATABASE restored WITH (FORCE)")
        server.execute("CREATE DATABASE restored TEMPLATE backup")
        require_refused(clave, AuditUnavailable, "the stored log is not as it was written")
